package config

import (
	"strings"
	"testing"
)

// nitro is a configuration that platform nitro accepts.
const nitro = `network: mainnet
tls: {mode: atls}
tee: {platform: nitro, role_arn: 'arn:aws:iam::111122223333:role/signer'}
signer_state: {backend: dynamodb, table: 'arn:aws:dynamodb:eu-central-1:111122223333:table/containment-state'}
anti_slashing: {backend: postgres, password_source: kms, url: 'postgres://signer@db.internal:5432/slashing', sealed_password: AQIDBA==, sealed_password_kms_key_arn: '` + keyA + `'}
chamber: {id: 5b0f2ac4e91d47d38c6a90e2b7f3d851, kms_key_arns: ['` + keyA + `', '` + keyB + `']}
auth: {mode: policies}
`

// source is what nitro says of the record's store.
const source = "backend: postgres, password_source: kms"

// ARNs of two KMS keys, the second one a multi-Region key.
const (
	keyA = "arn:aws:kms:eu-central-1:111122223333:key/0f3cbd2e-9d1c-4d3a-8b43-6f2f3f7a1c55"
	keyB = "arn:aws:kms:eu-west-1:444455556666:key/mrk-0f3cbd2e9d1c4d3a8b436f2f3f7a1c55"
)

// TestRules changes one thing in a configuration that is accepted and expects one reason.
func TestRules(t *testing.T) {
	trusting := strings.Replace(nitro, source, "backend: postgres, trust_parent: true", 1)
	const simulated = least + "tls: {mode: atls}\ntee: {platform: simulated, simulated: {socket_dir: a, state_dir: b}}\n"
	for _, test := range []struct{ name, base, from, to, want string }{
		{"nitro without atls", nitro, "mode: atls", "mode: file, file: {cert_path: a, key_path: b}", "2: tls.mode: tee.platform nitro requires atls"},
		{"nitro with TLS left out", nitro, "tls: {mode: atls}\n", "", "tls.mode: tee.platform nitro requires atls"},
		{"nitro without signer state", nitro, "backend: dynamodb, ", "", "signer_state.backend: must be set on tee.platform nitro, to dynamodb or postgres"},
		{"nitro with sqlite state", nitro, "backend: dynamodb", "backend: sqlite, path: x", "4: signer_state.backend: sqlite is refused on tee.platform nitro: an enclave has no disk"},
		{"nitro with a bare table name", nitro, "table: 'arn:aws:dynamodb:eu-central-1:111122223333:table/containment-state'", "region: eu-west-1, table: containment-state", "4: signer_state.table: must be the table's ARN on tee.platform nitro"},
		{"nitro with sqlite slashing", nitro, source, "backend: sqlite, sqlite: {path: x}", "5: anti_slashing.backend: sqlite is refused on tee.platform nitro"},
		{"nitro with noop", nitro, source, "backend: noop", "5: anti_slashing.backend: noop is refused on tee.platform nitro"},
		{"nitro with a password", trusting, "signer@", "signer:hush@", "5: anti_slashing.url: must hold no password on tee.platform nitro: the parent reads this file"},
		{"nitro with weak TLS", trusting, "/slashing", "/slashing?sslmode=require", `5: anti_slashing.url: sslmode "require" is refused on tee.platform nitro: whoever stands between could be the database`},
		{"nitro without TLS, said twice", nitro, "/slashing", "/slashing?sslmode=verify-full&ssl%6dode=disable", `5: anti_slashing.url: parameter "sslmode" stands there twice`},
		{"no certificate", least, "noop", "noop, ca_pem: AAAA", "2: anti_slashing.ca_pem: want certificates, each from -----BEGIN CERTIFICATE----- to"},
		{"certificate that is not base64", least, "noop", "noop, ca_pem: '-----BEGIN CERTIFICATE----- !! -----END CERTIFICATE-----'", "2: anti_slashing.ca_pem: certificate 1 is not base64"},
		{"certificate that is none", least, "noop", "noop, ca_pem: '" + examplePEM + " -----BEGIN CERTIFICATE----- AAAA -----END CERTIFICATE-----'", "2: anti_slashing.ca_pem: certificate 2 cannot be read"},
		{"text after a certificate", least, "noop", "noop, ca_pem: '" + examplePEM + " more'", "2: anti_slashing.ca_pem: want certificates"},
		{"nitro with a password in the query", trusting, "/slashing", "/slashing?password=hush", "5: anti_slashing.url: must hold no password on tee.platform nitro"},
		{"role that is no ARN", nitro, "arn:aws:iam::111122223333:role/signer", "signer", "3: tee.role_arn: want the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/NAME"},
		{"simulated without atls", simulated, "mode: atls", "mode: disabled", "3: tls.mode: tee.platform simulated requires atls"},
		{"simulated without sockets", simulated, "socket_dir: a, ", "", "tee.simulated.socket_dir: must be set: tee.platform simulated keeps its sockets there"},
		{"simulated without state", simulated, ", state_dir: b", "", "tee.simulated.state_dir: must be set: tee.platform simulated keeps its development root there"},
		{"parent's health on the metrics port", simulated, "tee:", "parent: {health: {listen_port: 3000}}\ntee:", "4: parent.health.listen_port: port 3000 is taken by metrics.listen_port"},
		{"atls on none", least, "network:", "tls: {mode: atls}\nnetwork:", "1: tls.mode: atls needs an attestation device, which tee.platform none does not have"},
		{"file without certificate", least, "network:", "tls: {mode: file, file: {key_path: k}}\nnetwork:", "tls.file.cert_path: must be set: tls.mode file reads its certificate there"},
		{"file without key", least, "network:", "tls: {mode: file, file: {cert_path: k}}\nnetwork:", "tls.file.key_path: must be set: tls.mode file reads its private key there"},
		{"rotation as long as validity", least, "network:", "tls: {atls: {rotation_interval_seconds: 86400}}\nnetwork:", "1: tls.atls.rotation_interval_seconds: must be shorter than tls.atls.cert_validity_seconds (86400)"},
		{"two listeners on a port", least, "network:", "metrics: {listen_port: 9000}\nnetwork:", "1: metrics.listen_port: port 9000 is taken by server.listen_port"},
		{"dynamodb state without table", least, "network:", "chamber: {kms_key_arns: ['" + keyA + "']}\nsigner_state: {backend: dynamodb}\nnetwork:", "signer_state.table: must be set: signer_state.backend dynamodb keeps its state there"},
		{"table that is none", least, "network:", "signer_state: {table: 'a b'}\nnetwork:", "1: signer_state.table: want the name or the ARN of a DynamoDB table"},
		{"postgres without URL", least, "noop", "postgres", "anti_slashing.url: must be set: anti_slashing.backend postgres connects to it"},
		{"sqlite without path", least, "noop", "sqlite", "anti_slashing.sqlite.path: must be set: anti_slashing.backend sqlite keeps its record there"},
		{"dynamodb without table", least, "noop", "dynamodb", "anti_slashing.dynamodb.table: must be set: anti_slashing.backend dynamodb keeps its record there"},
		{"dynamodb in no region", least, "noop", "dynamodb, dynamodb: {table: slashing}", "anti_slashing.region: must be set, unless anti_slashing.dynamodb.table is an ARN"},
		{"dynamodb in two regions", least, "noop", "dynamodb, region: eu-west-1, dynamodb: {table: 'arn:aws:dynamodb:eu-central-1:111122223333:table/slashing'}", "2: anti_slashing.region: is not the region that the table's ARN names"},
		{"region that is none", least, "noop", "noop, region: Frankfurt", "2: anti_slashing.region: want an AWS region, such as eu-central-1"},
		{"slashing table that is none", least, "noop", "noop, dynamodb: {table: 'a b'}", "2: anti_slashing.dynamodb.table: want the name or the ARN of a DynamoDB table"},
		{"endpoint that is no URL", least, "noop", "noop, dynamodb: {endpoint: localhost:8000}", "2: anti_slashing.dynamodb.endpoint: want https://host or https://host:port"},
		{"endpoint with a password", least, "noop", "noop, dynamodb: {endpoint: 'https://u:hush@h'}", "2: anti_slashing.dynamodb.endpoint: want https://host"},
		{"nitro with a table", nitro, source, "backend: dynamodb, dynamodb: {table: 'arn:aws:dynamodb:eu-central-1:111122223333:table/slashing'}", "5: anti_slashing.backend: dynamodb without dynamodb.sealed_access_key needs anti_slashing.trust_parent: true on tee.platform nitro: the parent relays the AWS credentials, and whoever controls the host can rewrite the slashing record with them"},
		{"nitro with a clear endpoint", nitro, source, "backend: dynamodb, dynamodb: {table: 'arn:aws:dynamodb:eu-central-1:111122223333:table/slashing', endpoint: 'http://h'}, trust_parent: true", "5: anti_slashing.dynamodb.endpoint: http is refused on tee.platform nitro"},
		{"nitro with the name of a table", nitro, source, "backend: dynamodb, region: eu-west-1, dynamodb: {table: slashing}, trust_parent: true", "5: anti_slashing.dynamodb.table: must be the table's ARN on tee.platform nitro: a name alone does not say whose account it is in"},
		{"nitro that says it does not trust", nitro, source, "backend: postgres, region: eu-west-1, password_source: rds_iam, trust_parent: false", "5: anti_slashing.password_source: rds_iam needs anti_slashing.trust_parent: true"},
		{"nitro with relayed credentials of any role", nitro, ", role_arn: 'arn:aws:iam::111122223333:role/signer'", "", "tee.role_arn: must be set on tee.platform nitro: the relayed credentials, for KMS and the signer state, are held against it"},
		{"nitro with rds_iam", nitro, source, "backend: postgres, region: eu-west-1, password_source: rds_iam", "5: anti_slashing.password_source: rds_iam needs anti_slashing.trust_parent: true on tee.platform nitro: the parent relays the AWS credentials"},
		{"nitro with open access", nitro, "auth: {mode: policies}", "auth: {mode: open}", "7: auth.mode: open is refused on tee.platform nitro"},
		{"nitro that forgot access", nitro, "auth: {mode: policies}", "", "auth.mode: open is refused on tee.platform nitro"},
		{"policies in a file of an enclave", nitro, "auth: {", "auth: {policy_file: p.yaml, ", "7: auth.policy_file: is refused on tee.platform nitro"},
		{"all in clear from an enclave", nitro, "auth: {", "server: {plaintext: full}\nauth: {", "7: server.plaintext: full is refused on tee.platform nitro"},
		{"policies nowhere", least, "network: hoodi", "network: hoodi\nauth: {mode: policies}", "2: auth.mode: policies needs a place where they are"},
		{"client certificates without TLS", least, "network: hoodi", "network: hoodi\nauth: {client_certificates: true}", "2: auth.client_certificates: needs a TLS listener"},
		{"imported keys stored nowhere", least, "network: hoodi", "network: hoodi\nhttp: {key_manager_api: {enabled: true, persist: true}}", "2: http.key_manager_api.persist: needs stored keys"},
		{"noop with an API", least, "noop", "noop, api: true", "2: anti_slashing.api: is for a record, and anti_slashing.backend noop keeps none"},
		{"noop that knows keys", least, "noop", "noop, unknown_keys: refuse", "2: anti_slashing.unknown_keys: refuse would refuse every vote"},
		{"rds_iam for another backend", least, "noop", "noop, password_source: rds_iam", "2: anti_slashing.password_source: rds_iam is for anti_slashing.backend postgres"},
		{"rds_iam in no region", least, "noop", "postgres, url: 'postgres://u@h/d', password_source: rds_iam", "anti_slashing.region: must be set: a token of password_source rds_iam is for the databases of one region"},
		{"rds_iam with a password", least, "noop", "postgres, url: 'postgres://u:hush@h/d', region: eu-west-1, password_source: rds_iam", "2: anti_slashing.url: must hold no password: password_source is rds_iam"},
		{"rds_iam with weak TLS", least, "noop", "postgres, url: 'postgres://u@h/d?sslmode=require', region: eu-west-1, password_source: rds_iam", `2: anti_slashing.url: sslmode "require" is refused: whoever stands between would get what password_source rds_iam gives`},
		{"rds_iam behind a socket", least, "noop", "postgres, url: 'postgres://u@/d?host=/run/pg', region: eu-west-1, password_source: rds_iam", "2: anti_slashing.url: names a unix socket"},
		{"sslmode of the server's choice", least, "noop", "postgres, url: 'postgres://u:hush@h/d?sslmode=prefer'", "2: anti_slashing.url: sslmode prefer would use TLS or not"},
		{"sslmode that is none", least, "noop", "postgres, url: 'postgres://u:hush@h/d?sslmode=on'", "2: anti_slashing.url: want sslmode verify-full"},
		{"parameter that is not known", least, "noop", "postgres, url: 'postgres://u:hush@h/d?pool_max_conns=9'", "2: anti_slashing.url: unknown parameter, want host, password or sslmode"},
		{"URL of another database", least, "noop", "noop, url: 'mysql://u:hush@h/d'", "2: anti_slashing.url: want postgres://user@host:port/database"},
		{"connection string", least, "noop", "noop, url: 'host=h password=hush'", "2: anti_slashing.url: want postgres://"},
		{"password that is not encoded", least, "noop", "noop, url: 'postgres://u:12/hush@h/d'", "2: anti_slashing.url: want no @ or # after the host"},
		{"password that cannot be read", least, "noop", "noop, url: 'postgres://u:%zzhush@h/d'", "2: anti_slashing.url: want postgres://"},
	} {
		t.Run(test.name, func(t *testing.T) {
			refusedAfter(t, test.base, test.from, test.to, test.want)
		})
	}
}

// refusedAfter changes one thing in a configuration that is accepted and expects one reason, without its place's file, and without a password.
func refusedAfter(t *testing.T, base, from, to, want string) {
	t.Helper()
	loadYAML(t, base)
	yaml := strings.Replace(base, from, to, 1)
	if yaml == base {
		t.Fatalf("%q does not stand in the base", from)
	}
	got := refused(t, Sources{YAML: []byte(yaml)})
	if len(got) != 1 || !strings.HasPrefix(strings.TrimPrefix(got[0], "configuration:"), want) || strings.Contains(got[0], "hush") {
		t.Errorf("got\n\t%s\nwant %q", strings.Join(got, "\n\t"), want)
	}
}
