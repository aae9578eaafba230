package kmstest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// TestIdentityPolicy: what is allowed, what is not, and that a Deny counts first.
func TestIdentityPolicy(t *testing.T) {
	const table = "arn:aws:dynamodb:eu-central-1:111122223333:table/t"
	p, err := ParseIdentityPolicy([]byte(`{"Version":"2012-10-17","Statement":[
		{"Sid":"Table","Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:Put*"],"Resource":"` + table + `"},
		{"Sid":"Index","Effect":"Allow","Action":"dynamodb:Query","Resource":["` + table + `/index/*"]},
		{"Sid":"Via","Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Condition":{"StringLike":{"kms:ViaService":"dynamodb.*"}}},
		{"Sid":"Never","Effect":"Deny","Action":"dynamodb:PutResourcePolicy","Resource":"*"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		action, resource string
		allowed          bool
		reason           string
	}{
		{"dynamodb:GetItem", table, true, "Table"},
		{"DynamoDB:getitem", table, true, "Table"},
		{"dynamodb:PutItem", table, true, "Table"},
		{"dynamodb:PutResourcePolicy", table, false, "Never"},
		{"dynamodb:GetItem", table + "2", false, "no statement"},
		{"dynamodb:GetItem", table + "/index/by", false, "no statement"},
		{"dynamodb:GetItem", strings.ToUpper(table), false, "no statement"},
		{"dynamodb:Query", table, false, "no statement"},
		{"dynamodb:Query", table + "/index/by", true, "Index"},
		{"dynamodb:DeleteItem", table, false, "no statement"},
		{"kms:Decrypt", keyA, false, "Via: StringLike kms:ViaService: the request has none"},
	} {
		if allowed, reason := p.Allows(tc.action, tc.resource); allowed != tc.allowed || !strings.Contains(reason, tc.reason) {
			t.Errorf("%s on %s: %v, %s", tc.action, tc.resource, allowed, reason)
		}
	}
}

// TestIdentityPoliciesRefused: what is not understood is not passed over.
func TestIdentityPoliciesRefused(t *testing.T) {
	whole := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}]}`
	if _, err := ParseIdentityPolicy([]byte(whole)); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]struct{ text, want string }{
		`"Resource":"*"`:        {`"Resource":"table"`, `Statement[0]: Resource: "table" is no ARN`},
		`"Effect"`:              {`"Principal":"*","Effect"`, `"Principal" is not known here`},
		`"Action"`:              {`"NotAction"`, `"NotAction" is not known here`},
		`"kms:Decrypt"`:         {`"Decrypt"`, `"Decrypt" is no action`},
		`"Version"`:             {`"Id":"x","Version"`, `"Id" is not known here`},
		`"Allow"`:               {`"allow"`, "Effect"},
		`"*"}`:                  {`"*","Condition":{"ArnLike":{"aws:SourceArn":"x"}}}`, "not known here"},
		`"Action":"kms:Decrypt`: {`"Action":"kms:` + strings.Repeat("x", maxIdentityPolicy), "more than 10240"},
	} {
		text := strings.Replace(whole, from, to.text, 1)
		if _, err := ParseIdentityPolicy([]byte(text)); text == whole || err == nil || !strings.Contains(err.Error(), to.want) {
			t.Errorf("%.200s: %v, want %q", text, err, to.want)
		}
	}
	for name, p := range map[string]Principal{
		"both":      {ARN: "arn:aws:iam::111122223333:role/x", IdentityAllows: true, Policy: []byte(whole)},
		"no policy": {ARN: "arn:aws:iam::111122223333:role/x", Policy: []byte("{}")},
	} {
		r := newRig(t, nil)
		if err := r.addPrincipal(p); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

// TestIdentityPolicyDelegated: where a key leaves it to the account, a principal's own policy decides.
func TestIdentityPolicyDelegated(t *testing.T) {
	const root = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}}`
	reader := "arn:aws:iam::111122223333:role/reader"
	r := newRig(t, func(o *Options) {
		o.Keys[0].Policy = []byte(root)
		o.Principals = append(o.Principals, Principal{ARN: reader, Policy: []byte(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:DescribeKey","Resource":"` + keyA + `"}]}`)})
	})
	key := keyA
	if _, err := r.as(t, reader).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &key}); err != nil {
		t.Error(err)
	}
	if _, err := r.as(t, reader).Encrypt(t.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: []byte("x")}); code(err) != denied {
		t.Errorf("Encrypt: %v", err)
	}
}

// TestMostOfTheSignersPolicy: a role that is given all that the module signer-policy knows.
func TestMostOfTheSignersPolicy(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "terraform", "signer-policy-most.json"))
	if err != nil {
		t.Fatal(err)
	}
	var outputs struct {
		Policy struct{ Value string } `json:"policy_json"`
	}
	if err := json.Unmarshal(text, &outputs); err != nil {
		t.Fatal(err)
	}
	p, err := ParseIdentityPolicy([]byte(outputs.Policy.Value))
	if err != nil {
		t.Fatal(err)
	}
	const tables = "arn:aws:dynamodb:eu-central-1:111122223333:table/containment-"
	for _, tc := range []struct {
		action, resource string
		want             bool
	}{
		{"kms:Decrypt", "arn:aws:kms:us-east-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b", true},
		{"kms:Encrypt", "arn:aws:kms:us-east-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b", true},
		{"kms:GenerateDataKey", "arn:aws:kms:us-east-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b", false},
		{"kms:Decrypt", exampleKeys["credentials"], true},
		{"kms:Encrypt", exampleKeys["credentials"], false},
		{"kms:Decrypt", "arn:aws:kms:eu-central-1:111122223333:key/5e5e5e5e-0000-4000-8000-00000000000e", false}, // only by way of DynamoDB
		{"dynamodb:UpdateItem", tables + "slashing", true},
		{"dynamodb:PutItem", tables + "slashing", false},
		{"dynamodb:DeleteItem", tables + "slashing", false},
		{"dynamodb:DeleteItem", tables + "keys", false},
		{"dynamodb:Query", tables + "keys/index/by_status", true},
		{"dynamodb:Query", tables + "keys", false},
		{"dynamodb:DeleteTable", tables + "state", false},
		{"dynamodb:UpdateTable", tables + "state", false},
		{"rds-db:connect", "arn:aws:rds-db:eu-central-1:111122223333:dbuser:db-ABCDEFGHIJKL01234/state", true},
		{"rds-db:connect", "arn:aws:rds-db:eu-central-1:111122223333:dbuser:db-ABCDEFGHIJKL01234/signer", false},
		{"sts:AssumeRole", "arn:aws:iam::111122223333:role/key-admin", false},
	} {
		if allowed, reason := p.Allows(tc.action, tc.resource); allowed != tc.want {
			t.Errorf("%s on %s: %v, %s", tc.action, tc.resource, allowed, reason)
		}
	}
}
