package kmstest

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestSealer: by the policy of a key for credentials, one role seals them and can do nothing else, and the enclave opens them and seals
// none.
func TestSealer(t *testing.T) {
	const sealer = "arn:aws:iam::111122223333:role/operations/sealer"
	r := newRig(t, func(o *Options) {
		o.Principals = append(o.Principals, Principal{ARN: sealer, IdentityAllows: true}, Principal{ARN: "arn:aws:iam::666677778888:role/operations/sealer", IdentityAllows: true})
	})
	if err := r.SetPolicy(keyA, golden(t, "sealing")); err != nil {
		t.Fatal(err)
	}
	password := map[string]string{"containment-chamber": "anti_slashing.sealed_password", "containment-chamber:server": "db.internal:5432"}
	share := map[string]string{"containment-chamber:chamber": "7", "containment-chamber:share": "1"}
	sealed, err := r.as(t, sealer).Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(keyA), Plaintext: []byte(secretText), EncryptionContext: password})
	if err != nil || r.last(t).Reason != "SealersEncryptCredentials" {
		t.Fatalf("%v; %s", err, r.last(t))
	}
	document := r.recipient(t, registers("a", "8", ""))
	for _, tc := range []struct {
		name, role, operation string
		context               map[string]string
		document              *types.RecipientInfo
		want                  string
	}{
		{"another credential", sealer, "Encrypt", map[string]string{"containment-chamber": "anti_slashing.dynamodb.sealed_access_key"}, nil, ""},
		{"a share", sealer, "Encrypt", share, nil, denied},
		{"for no purpose", sealer, "Encrypt", nil, nil, denied},
		{"its own", sealer, "Decrypt", password, nil, denied},
		{"its own, with the enclave's document", sealer, "Decrypt", password, document, denied},
		{"a key for a share", sealer, "GenerateDataKey", share, nil, denied},
		{"a key for a share, with the enclave's document", sealer, "GenerateDataKey", share, document, denied},
		{"the key", sealer, "DescribeKey", nil, nil, denied},

		{"the password", signer, "Decrypt", password, document, ""},
		{"the password for another server", signer, "Decrypt", map[string]string{"containment-chamber": "anti_slashing.sealed_password"}, document, "InvalidCiphertextException"},
		{"the password, of the parent", signer, "Decrypt", password, nil, denied},
		{"a password", signer, "Encrypt", password, nil, denied},
		{"a share", signer, "Encrypt", share, nil, denied},

		{"a password", admin, "Encrypt", password, nil, denied},
		{"a password", other, "Encrypt", password, nil, denied},
		{"a password", "arn:aws:iam::666677778888:role/operations/sealer", "Encrypt", password, nil, denied},
	} {
		client := r.as(t, tc.role)
		var err error
		switch tc.operation {
		case "Encrypt":
			_, err = client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(keyA), Plaintext: []byte(secretText), EncryptionContext: tc.context})
		case "Decrypt":
			_, err = client.Decrypt(t.Context(), &kms.DecryptInput{KeyId: aws.String(keyA), CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: tc.context, Recipient: tc.document})
		case "GenerateDataKey":
			_, err = client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: aws.String(keyA), KeySpec: types.DataKeySpecAes256, EncryptionContext: tc.context, Recipient: tc.document})
		case "DescribeKey":
			_, err = client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(keyA)})
		}
		if e := r.last(t); code(err) != tc.want || e.Operation != tc.operation {
			t.Errorf("%s: %s of %s: %v, want %q; %s", tc.role, tc.operation, tc.name, err, tc.want, e)
		}
	}
}
