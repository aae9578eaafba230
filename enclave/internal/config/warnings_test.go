package config

import (
	"slices"
	"strings"
	"testing"
)

func TestCustodyWarnings(t *testing.T) {
	const idle = ": it is not used"
	simulated := stateSQLite + "tls: {mode: atls}\ntee: {platform: simulated, simulated: {socket_dir: a, state_dir: b}}\n"
	init := "chamber.setup_token_sha256 is not set, and neither is chamber.id: on tee.platform simulated nobody can initialise this chamber"
	wrap := "chamber.wrap is encrypt, and chamber.id is not set"
	encrypt := strings.Replace(simulated, "chamber: {", "chamber: {wrap: encrypt, ", 1)
	const anybody = "chamber.id and chamber.kms_threshold are not set: any master key is taken"
	enclave := strings.Replace(nitro, "chamber: {id: 5b0f2ac4e91d47d38c6a90e2b7f3d851, ", "chamber: {", 1)
	id, token := "--chamber-id=5b0f2ac4e91d47d38c6a90e2b7f3d851", "--chamber-setup-token-sha256="+strings.Repeat("ab", 32)
	for _, test := range []struct {
		name, yaml string
		args       []string
		want       []string
	}{
		{"tables", stateTable, nil, nil},
		{"custom network that knows the time", customNetwork + "anti_slashing: {backend: sqlite, sqlite: {path: x}}\n", nil, nil},
		{"PostgreSQL", statePostgres, nil, nil},
		{"SQLite", stateSQLite, nil, nil},
		{"what a table uses", stateTable, []string{"--key-sources-dynamodb-status-filter=inactive", "--key-sources-dynamodb-refresh-interval-seconds=2", "--signer-state-ca-pem=" + examplePEM}, nil},
		{"what a server uses", statePostgres, []string{"--signer-state-refresh-interval-seconds=2", "--signer-state-ca-pem=" + examplePEM}, nil},
		{"what a database uses", stateSQLite, []string{"--key-sources-database-status-filter=inactive", "--key-sources-database-refresh-interval-seconds=2"}, nil},
		{"sealed password", sealedPostgres, nil, nil},
		{"sealed access key", sealedTable, nil, nil},
		{"nobody can initialise", simulated, nil, []string{init}},
		{"somebody can initialise", simulated, []string{token}, nil},
		{"somebody has initialised", simulated, []string{id}, nil},
		{"a key of anybody's", encrypt, []string{token}, []string{wrap}},
		{"a key of anybody's, which nobody can make", encrypt, nil, []string{init, wrap}},
		{"a key that is known", encrypt, []string{id}, nil},
		{"an enclave that takes any key", enclave, []string{token}, []string{anybody}},
		{"an enclave that takes any key of so many shares", enclave, []string{token, "--chamber-kms-threshold=2"}, nil},
		{"an enclave that takes one key", enclave, []string{id}, nil},
		{"a simulated enclave that takes any key", simulated, []string{token, "--chamber-kms-threshold=0"}, nil},
		{"nobody between", stateSQLite, []string{"--chamber-wrap=encrypt"}, nil},
		{
			"tables without TLS", stateTable,
			[]string{"--signer-state-endpoint=HTTP://h", "--key-sources-dynamodb-endpoint=http://h"},
			[]string{
				"signer_state.endpoint is http: whoever stands between can be the table, and withhold the state or roll it back",
				"key_sources.dynamodb.endpoint is http: whoever stands between can be the table, and withhold keys or roll their status back",
			},
		},
		{
			"no master key", "network: hoodi\nanti_slashing: {backend: sqlite, sqlite: {path: x}}\n",
			[]string{id, token, "--chamber-kms-threshold=2", "--chamber-wrap=encrypt", "--chamber-share-check-interval-seconds=1", "--chamber-kms-endpoint=https://h", "--chamber-kms-ca-pem=" + examplePEM},
			[]string{
				"chamber.id is set but chamber.kms_key_arns is empty" + idle, "chamber.kms_threshold is set", "chamber.wrap is set", "chamber.setup_token_sha256 is set",
				"chamber.share_check_interval_seconds is set", "chamber.kms_endpoint is set but chamber.kms_key_arns is empty", "chamber.kms_ca_pem is set",
			},
		},
		{"KMS for a password", sealedPostgres, []string{"--chamber-kms-endpoint=https://h", "--chamber-kms-ca-pem=" + examplePEM}, nil},
		{
			"no state", "network: hoodi\nanti_slashing: {backend: sqlite, sqlite: {path: x}}\n",
			[]string{
				"--signer-state-table=state", "--signer-state-region=eu-west-1", "--signer-state-endpoint=https://h", "--signer-state-url=postgres://u:hush@h/d",
				"--signer-state-ca-pem=" + examplePEM, "--signer-state-path=x", "--signer-state-refresh-interval-seconds=2",
			},
			[]string{
				"signer_state.refresh_interval_seconds is set but signer_state.backend is not set" + idle, "signer_state.table is set", "signer_state.endpoint is set",
				"signer_state.region is set", "signer_state.ca_pem is set", "signer_state.url is set", "signer_state.path is set",
			},
		},
		{"another state", stateSQLite, []string{"--signer-state-table=state"}, []string{"signer_state.table is set but signer_state.backend is sqlite" + idle}},
		{"a region for a token", statePostgres, []string{"--signer-state-region=eu-west-1", "--signer-state-password-source=rds_iam"}, nil},
		{
			"no stored keys", "network: hoodi\nanti_slashing: {backend: sqlite, sqlite: {path: x}}\n",
			[]string{
				"--key-sources-dynamodb-region=eu-west-1", "--key-sources-dynamodb-endpoint=https://h", "--key-sources-dynamodb-ca-pem=" + examplePEM,
				"--key-sources-dynamodb-status-filter=inactive", "--key-sources-dynamodb-refresh-interval-seconds=2", "--key-sources-dynamodb-max-concurrent-reads=2",
				"--key-sources-database-status-filter=inactive", "--key-sources-database-refresh-interval-seconds=2",
			},
			[]string{
				"key_sources.dynamodb.region is set but key_sources.dynamodb.table is empty" + idle, "key_sources.dynamodb.endpoint is set", "key_sources.dynamodb.ca_pem is set",
				"key_sources.dynamodb.status_filter is set", "key_sources.dynamodb.refresh_interval_seconds is set", "key_sources.dynamodb.max_concurrent_reads is set",
				"key_sources.database.status_filter is set but key_sources.database.enabled is false" + idle, "key_sources.database.refresh_interval_seconds is set",
			},
		},
		{"new keys without a backup", stateSQLite, []string{"--chamber-keys-generate-enabled=true"}, []string{"chamber.keys.generate.backup.enabled is false"}},
		{"new keys with a backup", stateSQLite, []string{"--chamber-keys-generate-enabled=true", "--chamber-keys-generate-backup-enabled=true", "--chamber-keys-generate-backup-recipients=" + recipient}, nil},
		{"defaults written out", "network: hoodi\nanti_slashing: {backend: sqlite, sqlite: {path: x}}\n", []string{"--key-sources-dynamodb-status-filter=active", "--chamber-wrap=data_key", "--chamber-id="}, nil},
		{
			"sealed for nothing", "network: hoodi\nanti_slashing: {backend: sqlite, sqlite: {path: x}}\n",
			[]string{"--anti-slashing-sealed-password=AQID", "--anti-slashing-dynamodb-sealed-access-key=AQID", "--anti-slashing-sealed-password-kms-key-arn=" + keyA},
			[]string{
				"anti_slashing.dynamodb.sealed_access_key is set but anti_slashing.backend is sqlite" + idle,
				"anti_slashing.sealed_password is set but anti_slashing.password_source is url" + idle,
				"anti_slashing.sealed_password_kms_key_arn is set but no sealed credential is used" + idle,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := load(t, Sources{YAML: []byte(test.yaml), Flags: flags(t, test.args...)}).Warnings()
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(test.want, "\n\t"))
			}
		})
	}
}
