package config

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
)

// Configurations with a master key that platform none accepts, each with another store for the state.
const (
	stateTable = `network: hoodi
chamber: {kms_key_arns: ['` + keyA + `', '` + keyB + `'], kms_threshold: 2}
signer_state: {backend: dynamodb, table: state, region: eu-central-1}
key_sources: {dynamodb: {table: keys, region: eu-central-1}}
anti_slashing: {backend: dynamodb, region: eu-central-1, dynamodb: {table: slashing}}
`
	statePostgres = `network: hoodi
chamber: {kms_key_arns: ['` + keyA + `']}
signer_state: {backend: postgres, url: 'postgres://u@h/d'}
key_sources: {database: {enabled: true}}
anti_slashing: {backend: sqlite, sqlite: {path: slashing.sqlite}}
`
	stateSQLite = `network: hoodi
chamber: {kms_key_arns: ['` + keyA + `']}
signer_state: {backend: sqlite, path: state.sqlite}
key_sources: {database: {enabled: true}}
anti_slashing: {backend: sqlite, sqlite: {path: slashing.sqlite}}
`
	sealedPostgres = `network: hoodi
anti_slashing: {backend: postgres, url: 'postgres://u@h/d', password_source: kms, sealed_password: AQIDBA==, sealed_password_kms_key_arn: '` + keyA + `'}
`
	sealedTable = `network: hoodi
anti_slashing: {backend: dynamodb, region: eu-central-1, dynamodb: {table: slashing, sealed_access_key: AQIDBA==}, sealed_password_kms_key_arn: '` + keyA + `'}
`
)

func TestChamberRules(t *testing.T) {
	const replica = "arn:aws:kms:us-east-1:444455556666:key/mrk-0f3cbd2e9d1c4d3a8b436f2f3f7a1c55"
	const arns = "2: chamber.kms_key_arns: "
	for _, test := range []struct{ name, from, to, want string }{
		{"identity in upper case", "chamber: {", "chamber: {id: 5B0F2AC4E91D47D38C6A90E2B7F3D851, ", "2: chamber.id: want 32 hexadecimal digits in lower case"},
		{"short identity", "chamber: {", "chamber: {id: 5b0f2ac4e91d47d38c6a90e2b7f3d8, ", "2: chamber.id: want 32"},
		{"identity with a prefix", "chamber: {", "chamber: {id: '0x5b0f2ac4e91d47d38c6a90e2b7f3d8', ", "2: chamber.id: want 32"},
		{"alias", keyA, "arn:aws:kms:eu-central-1:111122223333:alias/chamber", arns + "item 1: is an alias, which can be pointed at another key"},
		{"short alias", keyB, "alias/chamber", arns + "item 2: is an alias"},
		{"identifier without account", keyA, "0f3cbd2e-9d1c-4d3a-8b43-6f2f3f7a1c55", arns + "item 1: want the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID"},
		{"key in upper case", "0f3cbd2e-", "0F3CBD2E-", arns + "item 1: want the ARN of a KMS key"},
		{"key of no region", ":kms:eu-central-1:", ":kms::", arns + "item 1: want the ARN"},
		{"region that leaves the host", ":kms:eu-central-1:", ":kms:eu-central-1.evil.org/:", arns + "item 1: want the ARN"},
		{"key of no account", ":111122223333:", ":11112222333:", arns + "item 1: want the ARN"},
		{"ARN of another service", ":kms:eu-central-1:", ":iam:eu-central-1:", arns + "item 1: want the ARN"},
		{"key twice", keyB, keyA, arns + "item 2: is the same key as item 1: each key holds one share"},
		{"replica of a key", keyA, replica, arns + "item 2: is the same key as item 1"},
		{"more shares than keys", "kms_threshold: 2", "kms_threshold: 3", "2: chamber.kms_threshold: is more than chamber.kms_key_arns has, which is 2"},
		{"threshold below zero", "kms_threshold: 2", "kms_threshold: -1", "2: chamber.kms_threshold: want a whole number from 0 to 16"},
		{"wrap that is none", "chamber: {", "chamber: {wrap: xor, ", "2: chamber.wrap: want one of data_key, encrypt"},
		{"short token", "chamber: {", "chamber: {setup_token_sha256: abcd, ", "2: chamber.setup_token_sha256: want 64 hexadecimal digits"},
		{"token that is none", "chamber: {", "chamber: {setup_token_sha256: '" + strings.Repeat("gh", 32) + "', ", "2: chamber.setup_token_sha256: want 64 hexadecimal digits"},
		{"KMS without TLS", "chamber: {", "chamber: {kms_endpoint: 'http://kms', ", "2: chamber.kms_endpoint: want https://host or https://host:port"},
		{"KMS at a path", "chamber: {", "chamber: {kms_endpoint: 'https://kms/v1', ", "2: chamber.kms_endpoint: want https://host"},
		{"region as a port", "chamber: {", "chamber: {kms_endpoint: 'https://kms:{region}', ", "2: chamber.kms_endpoint: want https://host"},
		{"another placeholder", "chamber: {", "chamber: {kms_endpoint: 'https://kms.{Region}.internal', ", "2: chamber.kms_endpoint: want https://host"},
		{"KMS that nobody vouches for", "chamber: {", "chamber: {kms_ca_pem: AAAA, ", "2: chamber.kms_ca_pem: want certificates"},
		{"keys without a state", "signer_state: {backend: dynamodb, ", "signer_state: {", "signer_state.backend: must be set: the keys of key_sources.dynamodb.table are encrypted under the master key"},
		{"state without keys", "kms_key_arns: ['" + keyA + "', '" + keyB + "'], ", "", "chamber.kms_key_arns: must be set: without them nothing could be unsealed"},
	} {
		t.Run(test.name, func(t *testing.T) { refusedAfter(t, stateTable, test.from, test.to, test.want) })
	}
	refusedAfter(t, stateSQLite, "backend: sqlite, path: state.sqlite}\nkey_sources: {database: {enabled: true}}", "}", "signer_state.backend: must be set: the shares that chamber.kms_key_arns wrap are kept there")
	refusedAfter(t, statePostgres, "'"+keyA+"'", strings.Repeat("'"+keyA+"', ", 17), "2: chamber.kms_key_arns: want at most 16 keys, found 17")
}

// TestKMSKeys: nothing passes that the client of KMS would refuse at the first unseal.
func TestKMSKeys(t *testing.T) {
	for _, arn := range []string{
		keyA, keyB,
		strings.Replace(keyA, "arn:aws:kms:eu-central-1", "arn:aws-us-gov:kms:us-gov-west-1", 1),
		strings.Replace(keyA, "arn:aws:kms:eu-central-1", "arn:aws-eusc:kms:eusc-de-east-1", 1),
	} {
		c := loadYAML(t, strings.Replace(statePostgres, keyA, arn, 1))
		if diff := cmp.Diff([]string{arn}, c.Chamber.KMSKeyARNs); diff != "" {
			t.Error(diff)
		}
		if _, err := kms.ParseARN(arn); err != nil {
			t.Errorf("accepted here, but %v", err)
		}
	}
}

func TestStateRules(t *testing.T) {
	const arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/"
	const iam = "signer_state: {password_source: rds_iam, region: eu-west-1, "
	rds := strings.Replace(statePostgres, "signer_state: {", iam, 1)
	for _, test := range []struct{ name, base, from, to, want string }{
		{"postgres without URL", statePostgres, ", url: 'postgres://u@h/d'", "", "signer_state.url: must be set: signer_state.backend postgres connects to it"},
		{"URL of another database", statePostgres, "postgres://u@h", "mysql://u:hush@h", "3: signer_state.url: want postgres://user@host:port/database"},
		{"sslmode that is none", statePostgres, "h/d'", "h/d?sslmode=on'", "3: signer_state.url: want sslmode verify-full"},
		{"rds_iam for a table", stateTable, "signer_state: {", "signer_state: {password_source: rds_iam, ", "3: signer_state.password_source: rds_iam is for signer_state.backend postgres"},
		{"a sealed password", statePostgres, "signer_state: {", "signer_state: {password_source: kms, ", "3: signer_state.password_source: want one of url, rds_iam"},
		{"rds_iam in no region", rds, "region: eu-west-1, ", "", "signer_state.region: must be set: a token of password_source rds_iam"},
		{"rds_iam with a password", rds, "u@h", "u:hush@h", "3: signer_state.url: must hold no password: password_source is rds_iam"},
		{"rds_iam with weak TLS", rds, "h/d", "h/d?sslmode=require", `3: signer_state.url: sslmode "require" is refused: whoever stands between would get what password_source rds_iam gives`},
		{"rds_iam behind a socket", rds, "h/d", "/d?host=/run/pg", "3: signer_state.url: names a unix socket"},
		{"certificates that are none", statePostgres, "signer_state: {", "signer_state: {ca_pem: AAAA, ", "3: signer_state.ca_pem: want certificates"},
		{"sqlite without path", stateSQLite, ", path: state.sqlite", "", "signer_state.path: must be set: signer_state.backend sqlite keeps its state there"},
		{"one file for two", stateSQLite, "path: state.sqlite", "path: ./slashing.sqlite", "3: signer_state.path: is that of anti_slashing.sqlite.path: want a file of its own"},
		{"table in no region", stateTable, "table: state, region: eu-central-1", "table: state", "signer_state.region: must be set, unless signer_state.table is an ARN"},
		{"table in two regions", stateTable, "table: state, region: eu-central-1", "table: '" + arn + "state', region: eu-west-1", "3: signer_state.region: is not the region that the table's ARN names"},
		{"region that is none", stateTable, "table: state, region: eu-central-1", "table: state, region: Frankfurt", "3: signer_state.region: want an AWS region"},
		{"endpoint that is no URL", stateTable, "table: state", "endpoint: localhost:8000, table: state", "3: signer_state.endpoint: want https://host"},
		{"keys in the table of the state", stateTable, "table: keys", "table: state", "4: key_sources.dynamodb.table: is that of signer_state.table: want a table of its own"},
		{"record in the table of the state", stateTable, "table: slashing", "table: state", "5: anti_slashing.dynamodb.table: is that of signer_state.table: want a table of its own"},
		{"record in the table of the keys", stateTable, "table: slashing", "table: '" + arn + "keys'", "5: anti_slashing.dynamodb.table: is that of key_sources.dynamodb.table: want a table of its own"},
		{"one table behind two endpoints", stateTable, "table: keys", "table: state, endpoint: 'https://vpce'", "4: key_sources.dynamodb.table: is that of signer_state.table"},
	} {
		t.Run(test.name, func(t *testing.T) { refusedAfter(t, test.base, test.from, test.to, test.want) })
	}
	loadYAML(t, strings.NewReplacer("{backend: sqlite, sqlite: {path: slashing", "{backend: noop, sqlite: {path: slashing", "state.sqlite", "slashing.sqlite").Replace(stateSQLite))
	for _, other := range []string{strings.Replace(arn, "111122223333", "444455556666", 1), strings.Replace(arn, "central", "west", 1)} { // names of elsewhere
		loadYAML(t, strings.NewReplacer("table: state, region: eu-central-1", "table: '"+arn+"one'", "table: keys, region: eu-central-1", "table: '"+other+"one'").Replace(stateTable))
	}
}

func TestStoredKeyRules(t *testing.T) {
	const key = "4: key_sources."
	for _, test := range []struct{ name, base, from, to, want string }{
		{"table that is none", stateTable, "table: keys", "table: 'a b'", key + "dynamodb.table: want the name or the ARN of a DynamoDB table"},
		{"table in no region", stateTable, "table: keys, region: eu-central-1", "table: keys", "key_sources.dynamodb.region: must be set, unless key_sources.dynamodb.table is an ARN"},
		{"endpoint with a password", stateTable, "table: keys", "table: keys, endpoint: 'https://u:hush@h'", key + "dynamodb.endpoint: want https://host"},
		{"certificates that are none", stateTable, "table: keys", "table: keys, ca_pem: AAAA", key + "dynamodb.ca_pem: want certificates"},
		{"unknown status", stateTable, "table: keys", "table: keys, status_filter: [active, Inactive]", key + "dynamodb.status_filter: item 2: want active or inactive"},
		{"no readers", stateTable, "table: keys", "table: keys, max_concurrent_reads: 0", key + "dynamodb.max_concurrent_reads: want a whole number from 1 to 256"},
		{"unknown status in a database", statePostgres, "enabled: true", "enabled: true, status_filter: [deleted]", key + "database.status_filter: item 1: want active or inactive"},
		{"database beside a table", statePostgres, "key_sources: {", "key_sources: {dynamodb: {table: keys, region: eu-central-1}, ", key + "database.enabled: is refused beside key_sources.dynamodb.table"},
		{"database that is none", stateTable, "dynamodb: {table: keys, region: eu-central-1}", "database: {enabled: true}", key + "database.enabled: needs signer_state.backend postgres or sqlite"},
	} {
		t.Run(test.name, func(t *testing.T) { refusedAfter(t, test.base, test.from, test.to, test.want) })
	}
	for yaml, want := range map[string]bool{least: false, stateTable: true, statePostgres: true, stateSQLite: true} {
		if got := loadYAML(t, yaml).KeySources.Stored(); got != want {
			t.Errorf("stored keys %t in\n%s", got, yaml)
		}
	}
	loadYAML(t, strings.Replace(statePostgres, "enabled: true", "status_filter: [inactive, active], enabled: true", 1))
	loadYAML(t, strings.Replace(statePostgres, "database: {enabled: true}", "dynamodb: {table: keys, region: eu-central-1}", 1)) // state elsewhere
}

func TestChamberKeyRules(t *testing.T) {
	const (
		chamber = "chamber: {kms"
		none    = "network: hoodi\nchamber: {kms_key_arns: ['" + keyA + "']}\nsigner_state: {backend: sqlite, path: state.sqlite}\nanti_slashing: {backend: noop}\n"
		needs   = ": needs stored keys: key_sources.dynamodb.table or key_sources.database.enabled"
		to      = "2: chamber.keys.generate.backup.recipients: "
	)
	with := func(keys string) string { return "chamber: {keys: {" + keys + "}, kms" }
	for _, test := range []struct{ name, base, keys, want string }{
		{"generation without stored keys", none, "generate: {enabled: true}", "2: chamber.keys.generate.enabled" + needs},
		{"import without stored keys", none, "import: {enabled: true}", "2: chamber.keys.import.enabled" + needs},
		{"lifecycle without stored keys", none, "lifecycle: {enabled: true}", "2: chamber.keys.lifecycle.enabled" + needs},
		{"backup without recipients", stateSQLite, "generate: {backup: {enabled: true}}", "chamber.keys.generate.backup.recipients: must be set: chamber.keys.generate.backup.enabled encrypts"},
		{"recipients without backup", stateSQLite, "generate: {backup: {recipients: [" + recipient + "]}}", to + "are refused while chamber.keys.generate.backup.enabled is false"},
		{"recipient that is none", stateSQLite, "generate: {backup: {enabled: true, recipients: [" + recipient + ", age1x]}}", to + "recipients[1]"},
		{"recipient twice", stateSQLite, "generate: {backup: {enabled: true, recipients: [" + recipient + ", " + recipient + "]}}", to + "recipients[1] \"age1zvkyg2lq\": is recipients[0] again"},
		{"more keys than a mnemonic makes", stateSQLite, "generate: {max_items_per_request: 10001}", "2: chamber.keys.generate.max_items_per_request: want a whole number from 1 to 10000"},
		{"no requests", stateSQLite, "list: {max_concurrent_requests: 0}", "2: chamber.keys.list.max_concurrent_requests: want a whole number from 1 to 64"},
	} {
		t.Run(test.name, func(t *testing.T) { refusedAfter(t, test.base, chamber, with(test.keys), test.want) })
	}
	for _, base := range []string{none, stateSQLite} { // what is not asked for is silent
		loadYAML(t, base)
		loadYAML(t, strings.Replace(base, chamber, with("generate: {enabled: false}, import: {enabled: false}, lifecycle: {enabled: false}"), 1))
	}
	loadYAML(t, strings.Replace(stateTable, chamber, with("generate: {enabled: true, backup: {enabled: true, recipients: ["+recipient+", "+otherRecipient+"]}}, import: {enabled: true}, lifecycle: {enabled: true}"), 1))
	for _, k := range Keys() {
		if k.Name == "chamber.keys.generate.max_items_per_request" && k.Max != keygen.MaxCount {
			t.Errorf("%s: at most %d, want keygen.MaxCount, %d", k.Name, k.Max, keygen.MaxCount)
		}
	}
}

func TestSealedRules(t *testing.T) {
	for _, test := range []struct{ name, base, from, to, want string }{
		{"no password", sealedPostgres, "sealed_password: AQIDBA==, ", "", "anti_slashing.sealed_password: must be set: anti_slashing.password_source is kms"},
		{"no key for the password", sealedPostgres, ", sealed_password_kms_key_arn: '" + keyA + "'", "", "anti_slashing.sealed_password_kms_key_arn: must be set: it names the KMS key that opens anti_slashing.sealed_password"},
		{"no key for the access key", sealedTable, ", sealed_password_kms_key_arn: '" + keyA + "'", "", "anti_slashing.sealed_password_kms_key_arn: must be set: it names the KMS key that opens anti_slashing.dynamodb.sealed_access_key"},
		{"password in clear", sealedPostgres, "AQIDBA==", "hush!", "2: anti_slashing.sealed_password: want the ciphertext of AWS KMS in base64"},
		{"access key in clear", sealedTable, "AQIDBA==", "AKIDEXAMPLE:hush", "2: anti_slashing.dynamodb.sealed_access_key: want the ciphertext of AWS KMS in base64"},
		{"too long", sealedPostgres, "AQIDBA==", strings.Repeat("AQID", 2048) + "AQ==", "2: anti_slashing.sealed_password: want the ciphertext of AWS KMS in base64, at most 6144 bytes"},
		{"alias", sealedPostgres, keyA, "arn:aws:kms:eu-central-1:111122223333:alias/password", "2: anti_slashing.sealed_password_kms_key_arn: is an alias"},
		{"for another backend", sealedPostgres, "postgres,", "noop,", "2: anti_slashing.password_source: kms is for anti_slashing.backend postgres"},
		{"with a password in the URL", sealedPostgres, "u@h", "u:hush@h", "2: anti_slashing.url: must hold no password: password_source is kms"},
		{"with weak TLS", sealedPostgres, "h/d", "h/d?sslmode=require", `2: anti_slashing.url: sslmode "require" is refused: whoever stands between would get what password_source kms gives`},
	} {
		t.Run(test.name, func(t *testing.T) { refusedAfter(t, test.base, test.from, test.to, test.want) })
	}
}

func TestNitroCustody(t *testing.T) {
	const arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/"
	const sealed = "backend: dynamodb, dynamodb: {table: '" + arn + "slashing', sealed_access_key: AQIDBA==}"
	table := strings.NewReplacer(source, sealed, "chamber:", "key_sources: {dynamodb: {table: '"+arn+"keys'}}\nchamber:").Replace(nitro)
	rds := strings.Replace(nitro, "backend: dynamodb, table: '"+arn+"containment-state'", "backend: postgres, password_source: rds_iam, region: eu-west-1, url: 'postgres://u@h/d'", 1)
	rows := strings.Replace(rds, "chamber:", "key_sources: {database: {enabled: true}}\nchamber:", 1)
	for _, test := range []struct{ name, base, from, to, want string }{
		{"without KMS keys", nitro, ", kms_key_arns: ['" + keyA + "', '" + keyB + "']", "", "chamber.kms_key_arns: must be set"},
		{"without a role", table, ", role_arn: 'arn:aws:iam::111122223333:role/signer'", "", "tee.role_arn: must be set on tee.platform nitro"},
		{"state behind a URL alone", rds, "password_source: rds_iam, region: eu-west-1, ", "", "signer_state.password_source: must be rds_iam on tee.platform nitro: the parent reads this file"},
		{"unused URL with a password", nitro, "signer_state: {", "signer_state: {url: 'postgres://u:hush@h/d', ", "4: signer_state.url: must hold no password on tee.platform nitro"},
		{"state without TLS", nitro, "signer_state: {", "signer_state: {endpoint: 'http://h', ", "4: signer_state.endpoint: http is refused on tee.platform nitro"},
		{"keys without TLS", table, "/keys'", "/keys', endpoint: 'http://h'", "6: key_sources.dynamodb.endpoint: http is refused on tee.platform nitro"},
		{"keys in the name of a table", table, "'" + arn + "keys'", "keys, region: eu-west-1", "6: key_sources.dynamodb.table: must be the table's ARN on tee.platform nitro"},
		{"record with relayed credentials", table, ", sealed_access_key: AQIDBA==", "", "5: anti_slashing.backend: dynamodb without dynamodb.sealed_access_key needs anti_slashing.trust_parent: true"},
		{"record without credentials", nitro, "password_source: kms", "password_source: url", "5: anti_slashing.password_source: url needs anti_slashing.trust_parent: true on tee.platform nitro: no password can stand in the URL there"},
		{"database beside a table", table, "key_sources: {", "key_sources: {database: {enabled: true}, ", "6: key_sources.database.enabled: is refused beside"},
		{"state that is never looked at", nitro, "signer_state: {", "signer_state: {refresh_interval_seconds: 0, ", "4: signer_state.refresh_interval_seconds: 0 is refused on tee.platform nitro: what is sealed"},
		{"keys that are never looked at", table, "/keys'", "/keys', refresh_interval_seconds: 0", "6: key_sources.dynamodb.refresh_interval_seconds: 0 is refused on tee.platform nitro"},
		{"rows that are never looked at", rows, "enabled: true", "enabled: true, refresh_interval_seconds: 0", "6: key_sources.database.refresh_interval_seconds: 0 is refused on tee.platform nitro"},
	} {
		t.Run(test.name, func(t *testing.T) { refusedAfter(t, test.base, test.from, test.to, test.want) })
	}
	loadYAML(t, strings.Replace(rds, "signer_state: {", "signer_state: {table: unused, ", 1))
	loadYAML(t, strings.Replace(nitro, "chamber: {", "key_sources: {dynamodb: {refresh_interval_seconds: 0}, database: {refresh_interval_seconds: 0}}\nchamber: {", 1)) // not used
	for _, elsewhere := range []string{stateTable, statePostgres, stateSQLite} {
		loadYAML(t, strings.Replace(elsewhere, "signer_state: {", "signer_state: {refresh_interval_seconds: 0, ", 1))
	}
}

func TestCertificatesOfEverySection(t *testing.T) {
	simulated := strings.NewReplacer("platform: nitro,", "platform: simulated, simulated: {socket_dir: a, state_dir: b},", "kms_ca_pem: ''", "kms_ca_pem: '"+examplePEM+"'")
	c := loadYAML(t, simulated.Replace(full))
	for name, section := range map[string]interface {
		CAs() (*x509.CertPool, error)
	}{"anti_slashing": c.AntiSlashing, "signer_state": c.SignerState, "key_sources.dynamodb": c.KeySources.DynamoDB, "chamber": c.Chamber} {
		if cas, err := section.CAs(); err != nil || cas == nil {
			t.Errorf("%s: got %v, %v", name, cas, err)
		}
	}
}
