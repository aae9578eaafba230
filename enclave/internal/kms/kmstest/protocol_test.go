package kmstest

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/go-cmp/cmp"
)

const secretText = "canary-hush of thirty-two bytes."

// TestDecrypt: without a document the plaintext comes in clear, with one for the enclave alone.
func TestDecrypt(t *testing.T) {
	r := newRig(t, nil)
	client := r.as(t, signer)
	context := map[string]string{"share": "1", "chamber": "hoodi"}
	for _, arn := range []string{keyA, keyB} {
		made, err := client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(arn), Plaintext: []byte(secretText), EncryptionContext: context})
		if err != nil || *made.KeyId != arn || made.EncryptionAlgorithm != types.EncryptionAlgorithmSpecSymmetricDefault {
			t.Fatalf("Encrypt: %+v, %v", made, err)
		}
		if n := len(made.CiphertextBlob); n < 150 || n > 200 || bytes.Contains(made.CiphertextBlob, []byte("hush")) {
			t.Errorf("a ciphertext of %d bytes, or it is none", n)
		}
		got, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: made.CiphertextBlob, EncryptionContext: context})
		if err != nil || string(got.Plaintext) != secretText || *got.KeyId != arn || got.CiphertextForRecipient != nil || got.KeyMaterialId == nil {
			t.Errorf("Decrypt: %+v, %v", got, err)
		}
		got, err = client.Decrypt(t.Context(), &kms.DecryptInput{
			CiphertextBlob: made.CiphertextBlob, EncryptionContext: context, KeyId: aws.String(arn), Recipient: r.recipient(t, registers("a", "8", "")),
		})
		if err != nil || len(got.Plaintext) > 0 || *got.KeyId != arn || got.EncryptionAlgorithm != types.EncryptionAlgorithmSpecSymmetricDefault || got.KeyMaterialId != nil {
			t.Fatalf("Decrypt with a document: %+v, %v", got, err)
		}
		if plaintext, _ := openEnvelope(t, got.CiphertextForRecipient, enclaveKey()); string(plaintext) != secretText {
			t.Errorf("the enclave has %q", plaintext)
		}
	}
}

func TestGenerateDataKey(t *testing.T) {
	r := newRig(t, nil)
	client := r.as(t, signer)
	for _, tc := range []struct {
		in   kms.GenerateDataKeyInput
		size int
	}{
		{kms.GenerateDataKeyInput{KeySpec: types.DataKeySpecAes256}, 32},
		{kms.GenerateDataKeyInput{KeySpec: types.DataKeySpecAes128}, 16},
		{kms.GenerateDataKeyInput{NumberOfBytes: aws.Int32(64)}, 64},
	} {
		tc.in.KeyId = aws.String(keyA)
		for _, recipient := range []*types.RecipientInfo{nil, r.recipient(t, registers("a", "8", ""))} {
			tc.in.Recipient = recipient
			made, err := client.GenerateDataKey(t.Context(), &tc.in)
			if err != nil {
				t.Fatal(err)
			}
			plaintext := made.Plaintext
			if recipient != nil {
				if plaintext != nil {
					t.Error("the plaintext came in clear")
				}
				plaintext, _ = openEnvelope(t, made.CiphertextForRecipient, enclaveKey())
			}
			again, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: made.CiphertextBlob})
			if err != nil || len(plaintext) != tc.size || !bytes.Equal(again.Plaintext, plaintext) {
				t.Errorf("%d bytes, want %d; Decrypt gives %x, %v", len(plaintext), tc.size, again, err)
			}
		}
	}
}

func TestGenerateRandom(t *testing.T) {
	r := newRig(t, nil)
	in := &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(48)}
	got, err := r.as(t, admin).GenerateRandom(t.Context(), in)
	if err != nil || len(got.Plaintext) != 48 {
		t.Errorf("%+v, %v", got, err)
	}
	in.Recipient = r.recipient(t, registers("a", "8", ""))
	if got, err = r.as(t, admin).GenerateRandom(t.Context(), in); err != nil || got.Plaintext != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	if plaintext, _ := openEnvelope(t, got.CiphertextForRecipient, enclaveKey()); len(plaintext) != 48 {
		t.Errorf("the enclave has %d bytes", len(plaintext))
	}
	if _, err = r.as(t, signer).GenerateRandom(t.Context(), in); code(err) != "AccessDeniedException" {
		t.Errorf("without an identity policy: %v", err)
	}
}

func TestDescribeKey(t *testing.T) {
	r := newRig(t, nil)
	for state, enabled := range map[State]bool{Enabled: true, Disabled: false, PendingDeletion: false} {
		if err := r.SetState(keyA, state); err != nil {
			t.Fatal(err)
		}
		out, err := r.as(t, signer).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(keyA)})
		if err != nil {
			t.Fatal(err)
		}
		k := out.KeyMetadata
		if *k.Arn != keyA || *k.AWSAccountId != home || string(k.KeyState) != string(state) || k.Enabled != enabled || k.KeySpec != types.KeySpecSymmetricDefault || k.CreationDate == nil {
			t.Errorf("%s: %+v", state, k)
		}
	}
}

// TestTrail: what was asked, by whom, with which image, and why it was answered as it was.
func TestTrail(t *testing.T) {
	r := newRig(t, nil)
	if err := r.SetPolicy(keyB, golden(t, "one")); err != nil {
		t.Fatal(err)
	}
	for _, arn := range []string{keyA, keyB} {
		_, _ = r.as(t, signer).Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: r.encrypted(t, arn, secretText, nil), Recipient: r.recipient(t, registers("b", "8", ""))})
	}
	trail := r.Trail()
	for i := range trail {
		if trail[i].ID == "" || trail[i].Time.IsZero() {
			t.Errorf("%+v", trail[i])
		}
		trail[i].ID, trail[i].Time = "", trail[0].Time
	}
	bbb := pcr("b").String()
	event := Event{Time: trail[0].Time, Service: "kms", Region: region, Operation: "Decrypt", Principal: "arn:aws:sts::111122223333:assumed-role/signer/test", Attested: true, PCR0: bbb}
	allowed, denied := event, event
	allowed.Key, allowed.Allowed, allowed.Reason = keyA, true, "Everything"
	denied.Key, denied.Error, denied.Reason = keyB, "AccessDeniedException", "NobodyElseImage"
	if diff := cmp.Diff([]Event{allowed, denied}, trail); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want := event.Time.UTC().Format("2006-01-02T15:04:05Z") + " kms:Decrypt key=" + keyB + " by=" + event.Principal + " pcr0=" + bbb + ": AccessDeniedException: NobodyElseImage"
	if got := denied.String(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
