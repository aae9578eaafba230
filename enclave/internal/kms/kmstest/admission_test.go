package kmstest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// golden is a policy as the Terraform module renders it: sh scripts/terraform-test.sh compares.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const denied = "AccessDeniedException"

// TestAdmission: which enclaves the policies of the Terraform module let decrypt. What they allow and what they deny would each keep the
// others out alone.
func TestAdmission(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Principals = append(o.Principals, Principal{ARN: "arn:aws:iam::111122223333:role/standby"})
	})
	without := registers("a", "8", "3")
	delete(without, 8)
	for _, tc := range []struct {
		name, policy, role string
		pcrs               map[int]attestation.PCR // nil: no document
		want               string
	}{
		{"the enclave", "one", signer, registers("a", "8", ""), ""},
		{"another instance's role", "one", signer, registers("a", "8", "5"), ""},
		{"another image", "one", signer, registers("b", "8", ""), denied},
		{"another certificate", "one", signer, registers("a", "9", ""), denied},
		{"no signature", "one", signer, registers("a", "0", ""), denied},
		{"debug mode", "one", signer, registers("0", "0", ""), denied},
		{"no PCR8 at all", "one", signer, without, denied},
		{"no document", "one", signer, nil, denied},
		{"another role", "one", other, registers("a", "8", ""), denied},
		{"a role of this name elsewhere", "one", stranger, registers("a", "8", ""), denied},
		{"the administrator", "one", admin, nil, denied},
		{"the administrator with the enclave", "one", admin, registers("a", "8", ""), denied},

		{"the old image", "upgrade", signer, registers("a", "8", "3"), ""},
		{"the new image", "upgrade", signer, registers("b", "8", "3"), ""},
		{"a third image", "upgrade", signer, registers("c", "8", "3"), denied},
		{"the old image under another role of the instance", "upgrade", signer, registers("a", "8", "5"), denied},
		{"an instance without a role", "upgrade", signer, registers("a", "8", ""), denied},
		{"the new image without its signature", "upgrade", signer, registers("b", "0", "3"), denied},
		{"debug mode during an upgrade", "upgrade", signer, registers("0", "0", "3"), denied},
		{"no document during an upgrade", "upgrade", signer, nil, denied},

		{"any image of the old certificate", "signed", signer, registers("c", "8", ""), ""},
		{"any image of the new certificate", "signed", signer, registers("d", "9", ""), ""},
		{"the standby", "signed", "arn:aws:iam::111122223333:role/standby", registers("c", "9", ""), ""},
		{"any image of nobody", "signed", signer, registers("c", "0", ""), denied},
		{"debug mode of a signed image", "signed", signer, registers("0", "0", ""), denied},
	} {
		whole := golden(t, tc.policy)
		if err := r.SetPolicy(keyB, whole); err != nil {
			t.Fatal(err)
		}
		var recipient *types.RecipientInfo
		if tc.pcrs != nil {
			recipient = r.recipient(t, tc.pcrs)
		}
		client := r.as(t, tc.role)
		out, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: r.encrypted(t, keyB, secretText, nil), Recipient: recipient})
		if code(err) != tc.want {
			t.Errorf("%s: Decrypt: %v, want %q; %s", tc.name, err, tc.want, r.last(t))
		}
		if err == nil {
			if plaintext, _ := openEnvelope(t, out.CiphertextForRecipient, enclaveKey()); string(plaintext) != secretText {
				t.Errorf("%s: the enclave has %q", tc.name, plaintext)
			}
		}
		_, err = client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: aws.String(keyB), KeySpec: types.DataKeySpecAes256, Recipient: recipient})
		dataKey := tc.want
		if tc.policy == "upgrade" { // whose shares KMS encrypts
			dataKey = denied
		}
		if code(err) != dataKey {
			t.Errorf("%s: GenerateDataKey: %v, want %q; %s", tc.name, err, dataKey, r.last(t))
		}
		in := &kms.DecryptInput{CiphertextBlob: r.encrypted(t, keyB, secretText, nil), Recipient: recipient}
		if err := r.SetPolicy(keyB, edited(t, whole, func(s map[string]any) bool { return s["Effect"] == "Allow" })); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Decrypt(t.Context(), in); code(err) != tc.want {
			t.Errorf("%s: what is allowed, without what is denied: %v, want %q; %s", tc.name, err, tc.want, r.last(t))
		}
		if err := r.SetPolicy(keyB, edited(t, whole, func(s map[string]any) bool {
			if s["Effect"] == "Allow" {
				s["Principal"], s["Action"] = "*", "kms:*"
				delete(s, "Condition")
			}
			return true
		})); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Decrypt(t.Context(), in); tc.role == signer && code(err) != tc.want {
			t.Errorf("%s: what is denied, if all else is allowed: %v, want %q; %s", tc.name, err, tc.want, r.last(t))
		}
	}
}

// edited is a policy without the statements that keep does not want.
func edited(t *testing.T, text []byte, keep func(map[string]any) bool) []byte {
	t.Helper()
	var p struct {
		Version   string
		Statement []map[string]any
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	p.Statement = slices.DeleteFunc(p.Statement, func(s map[string]any) bool { return !keep(s) })
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestAdmissionWithoutDocument: what the module's policies permit besides.
func TestAdmissionWithoutDocument(t *testing.T) {
	r := newRig(t, nil)
	for _, tc := range []struct {
		policy, role      string
		encrypt, describe string
	}{
		{"one", signer, denied, denied},
		{"one", admin, denied, ""},
		{"one", other, denied, denied},
		{"upgrade", signer, "", denied},
		{"upgrade", other, denied, denied},
	} {
		if err := r.SetPolicy(keyA, golden(t, tc.policy)); err != nil {
			t.Fatal(err)
		}
		client := r.as(t, tc.role)
		if _, err := client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(keyA), Plaintext: []byte(secretText)}); code(err) != tc.encrypt {
			t.Errorf("%s, %s: Encrypt: %v", tc.policy, tc.role, err)
		}
		if _, err := client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(keyA)}); code(err) != tc.describe {
			t.Errorf("%s, %s: DescribeKey: %v", tc.policy, tc.role, err)
		}
	}
}
