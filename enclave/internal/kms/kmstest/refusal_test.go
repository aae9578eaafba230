package kmstest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// TestDecryptRefusals: AWS's names for what can be wrong with a ciphertext and its key.
func TestDecryptRefusals(t *testing.T) {
	r := newRig(t, nil)
	client := r.as(t, signer)
	context := map[string]string{"share": "1"}
	good := r.encrypted(t, keyA, secretText, context)
	if _, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: good, EncryptionContext: context, KeyId: aws.String(strings.TrimPrefix(keyA, keyA[:strings.LastIndexByte(keyA, '/')+1]))}); err != nil {
		t.Errorf("by the key's id alone: %v", err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	elsewhere := r.encrypted(t, keyC, secretText, nil)
	lost := append([]byte{blobVersion, byte(len(keyA))}, append([]byte(keyA[:len(keyA)-1]+"f"), random(100)...)...)
	for name, tc := range map[string]struct {
		in   kms.DecryptInput
		want string
	}{
		"another context":             {kms.DecryptInput{CiphertextBlob: good, EncryptionContext: map[string]string{"share": "2"}}, "InvalidCiphertextException"},
		"a context of another case":   {kms.DecryptInput{CiphertextBlob: good, EncryptionContext: map[string]string{"Share": "1"}}, "InvalidCiphertextException"},
		"a larger context":            {kms.DecryptInput{CiphertextBlob: good, EncryptionContext: map[string]string{"share": "1", "x": ""}}, "InvalidCiphertextException"},
		"no context":                  {kms.DecryptInput{CiphertextBlob: good}, "InvalidCiphertextException"},
		"a flipped bit":               {kms.DecryptInput{CiphertextBlob: flipped, EncryptionContext: context}, "InvalidCiphertextException"},
		"cut off":                     {kms.DecryptInput{CiphertextBlob: good[:100], EncryptionContext: context}, "InvalidCiphertextException"},
		"cut off, with the key":       {kms.DecryptInput{CiphertextBlob: good[:100], KeyId: aws.String(keyA)}, "InvalidCiphertextException"},
		"anything":                    {kms.DecryptInput{CiphertextBlob: []byte("anything")}, "InvalidCiphertextException"},
		"nothing":                     {kms.DecryptInput{CiphertextBlob: []byte{}}, "ValidationException"},
		"too much":                    {kms.DecryptInput{CiphertextBlob: make([]byte, 6145)}, "ValidationException"},
		"another key":                 {kms.DecryptInput{CiphertextBlob: good, EncryptionContext: context, KeyId: aws.String(keyB)}, "IncorrectKeyException"},
		"a key that is not there":     {kms.DecryptInput{CiphertextBlob: good, KeyId: aws.String(keyA + "f")}, "NotFoundException"},
		"an id that is not there":     {kms.DecryptInput{CiphertextBlob: good, KeyId: aws.String("1a")}, "NotFoundException"},
		"an alias":                    {kms.DecryptInput{CiphertextBlob: good, KeyId: aws.String("alias/shares")}, "NotFoundException"},
		"no ARN":                      {kms.DecryptInput{CiphertextBlob: good, KeyId: aws.String("arn:aws:s3:::bucket")}, "NotFoundException"},
		"a key of another region":     {kms.DecryptInput{CiphertextBlob: elsewhere, KeyId: aws.String(keyC)}, "NotFoundException"},
		"from another region":         {kms.DecryptInput{CiphertextBlob: elsewhere}, denied},
		"of a key that was never":     {kms.DecryptInput{CiphertextBlob: lost}, denied},
		"an algorithm for asymmetric": {kms.DecryptInput{CiphertextBlob: good, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha256}, "ValidationException"},
		"what is not modelled":        {kms.DecryptInput{CiphertextBlob: good, GrantTokens: []string{"x"}}, "ValidationException"},
	} {
		if _, err := client.Decrypt(t.Context(), &tc.in); code(err) != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
		if e := r.last(t); e.Error != tc.want || e.Reason == "" {
			t.Errorf("%s: the trail has %+v", name, e)
		}
	}
	for state, want := range map[State]string{
		Disabled: "DisabledException", PendingDeletion: "KMSInvalidStateException", PendingImport: "KMSInvalidStateException", Unavailable: "KMSInvalidStateException", Enabled: "",
	} {
		if err := r.SetState(keyA, state); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: good, EncryptionContext: context}); code(err) != want {
			t.Errorf("%s: %v, want %s", state, err, want)
		}
		if _, err := r.as(t, other).Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: good, EncryptionContext: context}); code(err) != denied {
			t.Errorf("%s, to one who may not know: %v", state, err)
		}
	}
}

func TestOtherRefusals(t *testing.T) {
	r := newRig(t, nil)
	client := r.as(t, signer)
	for name, tc := range map[string]struct {
		call func() error
		want string
	}{
		"Encrypt of nothing": {func() error {
			_, err := client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(keyA), Plaintext: []byte{}})
			return err
		}, "ValidationException"},
		"Encrypt of too much": {func() error {
			_, err := client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(keyA), Plaintext: make([]byte, 4097)})
			return err
		}, "ValidationException"},
		"a data key without a size": {func() error {
			_, err := client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: aws.String(keyA)})
			return err
		}, "ValidationException"},
		"a data key of two sizes": {func() error {
			_, err := client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: aws.String(keyA), KeySpec: types.DataKeySpecAes256, NumberOfBytes: aws.Int32(32)})
			return err
		}, "ValidationException"},
		"a data key of an unknown kind": {func() error {
			_, err := client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: aws.String(keyA), KeySpec: "AES_512"})
			return err
		}, "ValidationException"},
		"too many random bytes": {func() error {
			_, err := client.GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(1025)})
			return err
		}, "ValidationException"},
		"no random bytes": {func() error {
			_, err := client.GenerateRandom(t.Context(), &kms.GenerateRandomInput{})
			return err
		}, "ValidationException"},
		"an operation that is not modelled": {func() error {
			_, err := client.ListKeys(t.Context(), &kms.ListKeysInput{})
			return err
		}, "UnknownOperationException"},
	} {
		if err := tc.call(); code(err) != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

// TestDocuments: a document that is not good is no document; it does not come as far as the policy.
func TestDocuments(t *testing.T) {
	r := newRig(t, nil)
	client := r.as(t, signer)
	spki, err := x509.MarshalPKIXPublicKey(&enclaveKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	onCurve, err := x509.MarshalPKIXPublicKey(curve.Public())
	if err != nil {
		t.Fatal(err)
	}
	good := issuer.Payload{PCRs: registers("a", "8", ""), PublicKey: spki}
	now := time.Now()
	forged := r.document(t, good, now)
	forged.AttestationDocument[len(forged.AttestationDocument)-1] ^= 1
	another := r.document(t, good, now)
	another.KeyEncryptionAlgorithm = "RSAES_OAEP_SHA_1"
	foreign, err := issuer.NewRoot(now)
	if err != nil {
		t.Fatal(err)
	}
	r2 := &rig{root: foreign}
	if r2.enclave, err = issuer.NewIssuer(foreign, "i-0123456789abcdef0-enc0123456789abcdef", region, now); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		recipient *types.RecipientInfo
		want      string
	}{
		"good":              {r.document(t, good, now), ""},
		"minutes old":       {r.document(t, good, now.Add(-4*time.Minute)), ""},
		"too old":           {r.document(t, good, now.Add(-6*time.Minute)), "freshness"},
		"forged":            {forged, "signature"},
		"of another root":   {r2.document(t, good, now), "chain"},
		"none at all":       {&types.RecipientInfo{AttestationDocument: []byte{}, KeyEncryptionAlgorithm: types.KeyEncryptionMechanismRsaesOaepSha256}, "size"},
		"without a key":     {r.document(t, issuer.Payload{PCRs: good.PCRs}, now), "public_key"},
		"with a curve":      {r.document(t, issuer.Payload{PCRs: good.PCRs, PublicKey: onCurve}, now), "no RSA key"},
		"another algorithm": {another, "RSAES_OAEP_SHA_1"},
	} {
		_, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: r.encrypted(t, keyA, secretText, nil), Recipient: tc.recipient})
		e := r.last(t)
		if tc.want == "" && (err != nil || !e.Attested) || tc.want != "" && (code(err) != "ValidationException" || !strings.Contains(err.Error(), tc.want) || e.Attested || e.Allowed) {
			t.Errorf("%s: %v, want %q; %s", name, err, tc.want, e)
		}
	}
}

// TestEncryptTakesNoDocument: one that comes is passed over, and a condition on it is never met. No SDK sends one.
func TestEncryptTakesNoDocument(t *testing.T) {
	r := newRig(t, nil)
	credentials, err := r.NewSession(signer, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"KeyId": keyA, "Plaintext": []byte("x"), "Recipient": r.recipient(t, registers("a", "8", ""))})
	if err != nil {
		t.Fatal(err)
	}
	for policy, want := range map[string]string{
		everything: "CiphertextBlob",
		strings.Replace(everything, `"Resource":"*"`, `"Resource":"*","Condition":{"StringLike":{"kms:RecipientAttestation:PCR0":"*"}}`, 1): denied,
	} {
		if err := r.SetPolicy(keyA, []byte(policy)); err != nil {
			t.Fatal(err)
		}
		req := r.request(t, "Encrypt", string(text))
		sum := sha256.Sum256(text)
		if err := v4.NewSigner().SignHTTP(t.Context(), credentials, req, hex.EncodeToString(sum[:]), "kms", region, time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, answer := r.send(t, req); !strings.Contains(answer, want) || r.last(t).Attested {
			t.Errorf("%s: %s; %+v", policy, answer, r.last(t))
		}
	}
}
