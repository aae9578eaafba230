package kmstest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Who is who in the Terraform example "enclave", with three accounts.
const (
	exampleRole   = "arn:aws:iam::111122223333:role/containment-chamber"
	exampleSealer = "arn:aws:iam::111122223333:role/operations/sealer"
	everyKey      = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:*"],"Resource":["*"]}]}`
)

// exampleKeys are the keys by the name that the example has for them.
var exampleKeys = map[string]string{
	"primary":     "arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0000-4000-8000-00000000000a",
	"secondary_b": "arn:aws:kms:eu-central-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b",
	"secondary_c": "arn:aws:kms:eu-central-1:777788889999:key/3c3c3c3c-0000-4000-8000-00000000000c",
	"credentials": "arn:aws:kms:eu-central-1:111122223333:key/4d4d4d4d-0000-4000-8000-00000000000d",
}

// example are the policies that the example gives its keys and its role, as Terraform renders them.
type example struct {
	keys   map[string]string
	signer string
}

func readExample(t *testing.T, name string) (e example) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "terraform", "policies-"+name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var outputs map[string]struct{ Value json.RawMessage }
	if err := json.Unmarshal(text, &outputs); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(outputs["key_policies"].Value, &e.keys); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(outputs["signer_policy"].Value, &e.signer); err != nil {
		t.Fatal(err)
	}
	if len(e.keys) < 2 || e.signer == "" {
		t.Fatalf("%s: %v", name, e)
	}
	return e
}

// others are everybody but the role: the administrators of the keys, who seals, and strangers, one of the role's name in another account.
func others() []string {
	return []string{
		"arn:aws:iam::111122223333:role/key-admin", "arn:aws:iam::444455556666:role/key-admin", "arn:aws:iam::777788889999:role/key-admin",
		exampleSealer, stranger, other, "arn:aws:iam::444455556666:role/containment-chamber",
	}
}

// newExampleRig is KMS with the example's keys, whose role has an identity policy. All others have one that allows everything: it must not help.
func newExampleRig(t *testing.T, e example, rolePolicy string) *rig {
	t.Helper()
	return newRig(t, func(o *Options) {
		o.Keys = nil
		for name, text := range e.keys {
			o.Keys = append(o.Keys, Key{ARN: exampleKeys[name], Policy: []byte(text)})
		}
		o.Principals = []Principal{{ARN: exampleRole, Policy: []byte(rolePolicy)}}
		for _, arn := range others() {
			o.Principals = append(o.Principals, Principal{ARN: arn, Policy: []byte(everyKey)})
		}
	})
}

// uses are what a caller with a document gets of a key: the errors of Decrypt and of GenerateDataKey.
func (r *rig) uses(t *testing.T, role, key string, document *types.RecipientInfo) (decrypt, dataKey string) {
	t.Helper()
	client := r.as(t, role)
	_, err := client.Decrypt(t.Context(), &kms.DecryptInput{KeyId: &key, CiphertextBlob: r.encrypted(t, key, secretText, nil), Recipient: document})
	_, failed := client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256, Recipient: document})
	return code(err), code(failed)
}

// TestExampleAdmits: which enclaves open the shares and the credential of the example, at rest and during an upgrade of image and certificate.
func TestExampleAdmits(t *testing.T) {
	documents := []struct {
		name              string
		pcr0, pcr8, pcr3  string
		enclave, upgraded bool // whether it is admitted by the one and by the other
	}{
		{"the old image", "a", "8", "3", true, true},
		{"the old image under another role of the instance", "a", "8", "5", true, false},
		{"the old image on an instance without a role", "a", "8", "", true, false},
		{"the old image, signed anew", "a", "9", "3", false, true},
		{"the new image with the old certificate", "b", "8", "3", false, true},
		{"the new image", "b", "9", "3", false, true},
		{"the new image under another role of the instance", "b", "9", "5", false, false},
		{"a third image", "c", "8", "3", false, false},
		{"a third image of the new certificate", "c", "9", "3", false, false},
		{"somebody's certificate", "a", "7", "3", false, false},
		{"no signature", "a", "0", "3", false, false},
		{"debug mode", "0", "0", "3", false, false},
		{"debug mode with the signature of the image", "0", "8", "3", false, false},
	}
	for _, variant := range []string{"enclave", "upgrade"} {
		e := readExample(t, variant)
		r := newExampleRig(t, e, e.signer)
		for _, d := range documents {
			document := r.recipient(t, registers(d.pcr0, d.pcr8, d.pcr3))
			want := denied
			if variant == "enclave" && d.enclave || variant == "upgrade" && d.upgraded {
				want = ""
			}
			for name := range e.keys {
				key, wantDataKey := exampleKeys[name], want
				if name == "credentials" || variant == "upgrade" { // which KMS makes no data keys for
					wantDataKey = denied
				}
				if decrypt, dataKey := r.uses(t, exampleRole, key, document); decrypt != want || dataKey != wantDataKey {
					t.Errorf("%s, %s, %s: Decrypt %q, GenerateDataKey %q, want %q and %q; %s", variant, name, d.name, decrypt, dataKey, want, wantDataKey, r.last(t))
				}
				if want != "" {
					continue
				}
				for _, who := range others() { // with the document of an enclave that is admitted
					if decrypt, dataKey := r.uses(t, who, key, document); decrypt != denied || dataKey != denied {
						t.Errorf("%s, %s, %s, by %s: Decrypt %q, GenerateDataKey %q", variant, name, d.name, who, decrypt, dataKey)
					}
				}
			}
		}
		for name := range e.keys {
			for _, who := range append(others(), exampleRole) {
				if decrypt, dataKey := r.uses(t, who, exampleKeys[name], nil); decrypt != denied || dataKey != denied {
					t.Errorf("%s, %s, without a document, by %s: Decrypt %q, GenerateDataKey %q", variant, name, who, decrypt, dataKey)
				}
			}
		}
	}
}

// TestExampleNeedsBothSides: the key of another account wants an identity policy of the role's own account as well.
func TestExampleNeedsBothSides(t *testing.T) {
	e := readExample(t, "enclave")
	for name, tc := range map[string]struct{ policy, home, away string }{
		"the role's policy":     {e.signer, "", ""},
		"a policy of no key":    {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:GetItem"],"Resource":["*"]}]}`, "", denied},
		"a policy that refuses": {`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["kms:*"],"Resource":["*"]}]}`, denied, denied},
	} {
		r := newExampleRig(t, e, tc.policy)
		document := r.recipient(t, registers("a", "8", ""))
		for key, want := range map[string]string{"primary": tc.home, "credentials": tc.home, "secondary_b": tc.away, "secondary_c": tc.away} {
			wantDataKey := want
			if key == "credentials" {
				wantDataKey = denied
			}
			if decrypt, dataKey := r.uses(t, exampleRole, exampleKeys[key], document); decrypt != want || dataKey != wantDataKey {
				t.Errorf("%s, %s: Decrypt %q, GenerateDataKey %q, want %q and %q; %s", name, key, decrypt, dataKey, want, wantDataKey, r.last(t))
			}
		}
	}
}
