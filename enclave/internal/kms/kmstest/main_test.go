package kmstest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	home   = "111122223333"
	away   = "444455556666"
	region = "eu-central-1"

	keyA = "arn:aws:kms:eu-central-1:111122223333:key/1a1a1a1a-0000-4000-8000-00000000000a"
	keyB = "arn:aws:kms:eu-central-1:444455556666:key/2b2b2b2b-0000-4000-8000-00000000000b"
	keyC = "arn:aws:kms:us-east-1:111122223333:key/3c3c3c3c-0000-4000-8000-00000000000c"

	signer   = "arn:aws:iam::111122223333:role/validators/signer"
	other    = "arn:aws:iam::111122223333:role/other"
	admin    = "arn:aws:iam::111122223333:role/key-admin"
	stranger = "arn:aws:iam::666677778888:role/signer"
)

// everything lets the signer do everything, as does no policy of the module.
const everything = `{"Version":"2012-10-17","Statement":{"Sid":"Everything","Effect":"Allow","Principal":{"AWS":"` + signer + `"},"Action":"kms:*","Resource":"*"}}`

// enclaveKey is the RSA key of all enclaves here: one takes long to make.
var enclaveKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// rig is a server with enclaves that can prove themselves to it.
type rig struct {
	*Running

	root    *issuer.Root
	enclave *issuer.Issuer
}

func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	now := time.Now()
	root, err := issuer.NewRoot(now)
	if err != nil {
		t.Fatal(err)
	}
	enclave, err := issuer.NewIssuer(root, "i-0123456789abcdef0-enc0123456789abcdef", region, now)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Roots: []*x509.Certificate{root.Certificate},
		Keys:  []Key{{ARN: keyA, Policy: []byte(everything)}, {ARN: keyB, Policy: []byte(everything)}, {ARN: keyC, Policy: []byte(everything)}},
		Principals: []Principal{
			{ARN: signer, WebIdentityToken: "canary-hush"},
			{ARN: other},
			{ARN: admin, IdentityAllows: true},
			{ARN: stranger, IdentityAllows: true},
			{ARN: "arn:aws:iam::" + home + ":user/ops", IdentityAllows: true, AccessKey: AccessKey{ID: "AKIDEXAMPLE", Secret: "canary-hush"}},
		},
	}
	if change != nil {
		change(&o)
	}
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return &rig{s, root, enclave}
}

// as is a client of KMS in a session of a role. It tries once.
func (r *rig) as(t *testing.T, role string) *kms.Client {
	t.Helper()
	credentials, err := r.NewSession(role, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	return r.with(credentials, region)
}

func (r *rig) with(c aws.Credentials, region string) *kms.Client {
	return kms.New(kms.Options{
		BaseEndpoint: aws.String(r.URL), Region: region, HTTPClient: r.Client(), Retryer: aws.NopRetryer{},
		Credentials: fixed(c),
	})
}

func fixed(c aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
}

// pcr is a register of one digit.
func pcr(digit string) attestation.PCR {
	p, err := attestation.ParsePCR(strings.Repeat(digit, 96))
	if err != nil {
		panic(err)
	}
	return p
}

// registers are PCR0, PCR8 and, if it is told, PCR3.
func registers(pcr0, pcr8, pcr3 string) map[int]attestation.PCR {
	m := map[int]attestation.PCR{0: pcr(pcr0), 1: pcr("1"), 2: pcr("2"), 3: pcr("0"), 4: pcr("4"), 8: pcr(pcr8)}
	if pcr3 != "" {
		m[3] = pcr(pcr3)
	}
	return m
}

// recipient is a document with the enclave's key.
func (r *rig) recipient(t *testing.T, pcrs map[int]attestation.PCR) *types.RecipientInfo {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(&enclaveKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return r.document(t, issuer.Payload{PCRs: pcrs, PublicKey: spki}, time.Now())
}

func (r *rig) document(t *testing.T, p issuer.Payload, at time.Time) *types.RecipientInfo {
	t.Helper()
	raw, err := r.enclave.Issue(p, at)
	if err != nil {
		t.Fatal(err)
	}
	return &types.RecipientInfo{AttestationDocument: raw, KeyEncryptionAlgorithm: types.KeyEncryptionMechanismRsaesOaepSha256}
}

// encrypted is a ciphertext of text, made past policies.
func (r *rig) encrypted(t *testing.T, arn, text string, context map[string]string) []byte {
	t.Helper()
	blob, err := r.keys[arn].encrypt([]byte(text), context)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// last is the latest event.
func (r *rig) last(t *testing.T) Event {
	t.Helper()
	trail := r.Trail()
	if len(trail) == 0 {
		t.Fatal("nothing was asked")
	}
	return trail[len(trail)-1]
}

// code is AWS's name of an error, "" for none.
func code(err error) string {
	if err == nil {
		return ""
	}
	if known, ok := errors.AsType[smithy.APIError](err); ok {
		return known.ErrorCode()
	}
	return fmt.Sprintf("no answer: %v", err)
}
