package config

import (
	"crypto/sha512"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// full sets every measured key but the routes. It may, on platform nitro, because trust_parent stands in for a sealed password, which is not
// measured, and because kms_ca_pem, which is refused there, is empty.
var full = customNetwork + `tls: {mode: atls}
tee: {platform: nitro, role_arn: 'arn:aws:iam::111122223333:role/signer'}
signer_state:
  backend: dynamodb
  table: arn:aws:dynamodb:eu-central-1:111122223333:table/containment-state
  region: eu-central-1 # of the state
  endpoint: https://state.internal:8000
  url: postgres://state@db.internal:5432/containment
  password_source: url # of the state
  ca_pem: '` + examplePEM + `' # of the state
chamber:
  id: 5b0f2ac4e91d47d38c6a90e2b7f3d851
  kms_key_arns: ['` + keyA + `', '` + keyB + `']
  kms_threshold: 2
  wrap: data_key
  kms_endpoint: https://kms.{region}.amazonaws.com
  kms_ca_pem: ''
  keys: {generate: {enabled: true, backup: {enabled: true, recipients: [` + recipient + `]}}}
key_sources:
  dynamodb:
    table: arn:aws:dynamodb:eu-central-1:111122223333:table/containment-keys
    region: eu-central-1 # of the keys
    endpoint: https://keys.internal:8000
    ca_pem: '` + examplePEM + `' # of the keys
    status_filter: [active]
  database: {enabled: false, status_filter: [inactive]}
anti_slashing:
  backend: postgres
  url: postgres://signer@db.internal:5432/slashing
  password_source: url
  trust_parent: true
  region: eu-central-1
  unknown_keys: refuse
  api: false
  ca_pem: '` + examplePEM + `'
  sealed_password_kms_key_arn: ` + keyB + `
  dynamodb: {table: 'arn:aws:dynamodb:eu-central-1:111122223333:table/containment-slashing', endpoint: 'https://dynamodb.internal:8000'}
auth: {mode: policies, open_exits: false}
`

// examplePEM is a certificate in one line, as a folded YAML text makes it.
const examplePEM = "-----BEGIN CERTIFICATE----- MIIBKzCB3qADAgECAgEBMAUGAytlcDAVMRMwEQYDVQQDDApleGFtcGxlIENBMB4XDTI2MTEyMTE2MjU1MVoXDTM2MTExODE2MjU1MVowFTETMBEGA1UEAwwKZXhhbXBsZSBDQTAqMAUGAytlcAMhANx6XDl4iapvmZ4g2FYbvIOpb5Rl1PRTRKWaXMMZmuRxo1MwUTAdBgNVHQ4EFgQU+hwl9j/v0LiL0C9NH94VkajtgwQwHwYDVR0jBBgwFoAU+hwl9j/v0LiL0C9NH94VkajtgwQwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQAInpokRKFnOg6u1lo3jaAQA2efRWo255UbB6yyGtMD9wmrxCUW5IPh8NNyuMmgzLC3WytH2Pb+SzZS/MtXnucD -----END CERTIFICATE-----"

// recipient is one of the age specification's, otherRecipient another.
const (
	recipient      = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
	otherRecipient = "age1dswmxqwgq87c7fkcpl4am6jh0ecppj66sw3j20gavx6vqz6rlg4sdtpmkk"
)

const (
	fullRoutes = `, egress: [{name: kms, host: kms.eu-central-1.amazonaws.com, port: 443, vsock_port: 8001}]}`
	fullJSON   = `{"anti_slashing":{"api":false,"backend":"postgres","ca_pem":"` + examplePEM + `",` +
		`"dynamodb":{"endpoint":"https://dynamodb.internal:8000","table":"arn:aws:dynamodb:eu-central-1:111122223333:table/containment-slashing"},` +
		`"password_source":"url","region":"eu-central-1","sealed_password_kms_key_arn":"` + keyB + `",` +
		`"trust_parent":true,"unknown_keys":"refuse","url":"postgres://signer@db.internal:5432/slashing"},"auth":{"mode":"policies","open_exits":false},` +
		`"chamber":{"id":"5b0f2ac4e91d47d38c6a90e2b7f3d851",` +
		`"keys":{"generate":{"backup":{"enabled":true,"recipients":["` + recipient + `"]},"enabled":true}},` +
		`"kms_ca_pem":"","kms_endpoint":"https://kms.{region}.amazonaws.com",` +
		`"kms_key_arns":["` + keyA + `","` + keyB + `"],"kms_threshold":2,"wrap":"data_key"},` +
		`"custom_network":{"forks":[{"name":"altair","version":"0x20000038"},{"name":"bellatrix","version":"0x300000ab"}],` +
		`"genesis_fork_version":"0x10000038","genesis_time":1764000000,"genesis_validators_root":"0xd61ea484febacfae5298d52a2b581f3e305a51f3112a9241b968dccf019f7b11",` +
		`"seconds_per_slot":6,"slots_per_epoch":8},"key_sources":{"database":{"enabled":false,"status_filter":["inactive"]},"dynamodb":{"ca_pem":"` + examplePEM + `",` +
		`"endpoint":"https://keys.internal:8000","region":"eu-central-1","status_filter":["active"],"table":"arn:aws:dynamodb:eu-central-1:111122223333:table/containment-keys"}},` +
		`"network":"custom","signer_state":{"backend":"dynamodb","ca_pem":"` + examplePEM + `","endpoint":"https://state.internal:8000",` +
		`"password_source":"url","region":"eu-central-1","table":"arn:aws:dynamodb:eu-central-1:111122223333:table/containment-state",` +
		`"url":"postgres://state@db.internal:5432/containment"},` +
		`"tee":{"egress":[{"host":"kms.eu-central-1.amazonaws.com","name":"kms","port":443,"vsock_port":8001}],"platform":"nitro",` +
		`"role_arn":"arn:aws:iam::111122223333:role/signer"},"tls":{"mode":"atls"}}`
	// fullDigest was computed apart from this code: printf %s "$JSON" | sha384sum.
	fullDigest = "ae0b72368d80652ecf6799b6feedc4b639db73cfc4b199921da9dcb6c4dd4185ad52dbacefb4765f9fd94e8443991f68"
)

func fullYAML() string {
	return strings.Replace(full, "role/signer'}", "role/signer'"+fullRoutes, 1)
}

func TestDigestGolden(t *testing.T) {
	c := loadYAML(t, fullYAML())
	if diff := cmp.Diff(fullJSON, string(c.Measured())); diff != "" {
		t.Errorf("measured (-want +got):\n%s", diff)
	}
	digest := c.Digest()
	if got := hex.EncodeToString(digest[:]); got != fullDigest {
		t.Errorf("digest %s, want %s", got, fullDigest)
	}
	if sha512.Sum384(c.Measured()) != digest {
		t.Error("what Measured returns does not hash to the digest")
	}
	// The golden JSON sets every measured key, so that a key which becomes measured fails here.
	for _, k := range Keys() {
		if _, set := c.written[k.Name]; k.Measured != set {
			t.Errorf("%s: measured %v, in the golden configuration %v", k.Name, k.Measured, set)
		}
	}
}
