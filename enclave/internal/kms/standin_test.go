package kms_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// enclave is a simulated enclave and how it attests a key.
type enclave struct {
	measured software.Measurements
	root     *x509.Certificate
	attest   func(ctx context.Context, publicKey []byte) ([]byte, error)
}

// newEnclave makes one whose security module goes by a clock, nil for this machine's.
func newEnclave(t *testing.T, now func() time.Time) enclave {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	measured, err := software.Measure(program)
	if err != nil {
		t.Fatal(err)
	}
	session, err := software.Open(software.Options{Dir: t.TempDir(), Executable: program, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	device := nsm.New(session)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- device.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return enclave{measured, session.Root(), func(ctx context.Context, publicKey []byte) ([]byte, error) {
		userData, err := atls.Binding{Purpose: atls.PurposeKMS, SPKI: sha256.Sum256(publicKey)}.Marshal()
		if err != nil {
			return nil, err
		}
		return device.Attest(ctx, nsm.Attestation{UserData: userData, PublicKey: publicKey})
	}}
}

// TestAgainstKeyPolicies asks a strict stand-in, with documents of a simulated security module: what one seals the other opens, for the
// measured program alone.
func TestAgainstKeyPolicies(t *testing.T) {
	const role = "arn:aws:iam::111122223333:role/signer"
	e := newEnclave(t, nil)
	policy := func(pcr0 string) []byte {
		return []byte(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Principal":{"AWS":%q},"Action":"kms:Encrypt","Resource":"*"},
			{"Effect":"Allow","Principal":{"AWS":%q},"Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*",
			 "Condition":{"StringEqualsIgnoreCase":{"kms:RecipientAttestation:ImageSha384":%q}}}]}`, role, role, pcr0))
	}
	mine, disabled := keyText, "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-000000000002"
	foreign := "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-000000000001"
	missing := "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-000000000003"
	pcr0 := e.measured.PCR0.String()
	service, err := kmstest.Start(kmstest.Options{
		Roots: []*x509.Certificate{e.root},
		Keys: []kmstest.Key{
			{ARN: mine, Policy: policy(pcr0)},
			{ARN: disabled, Policy: policy(pcr0), State: kmstest.Disabled},
			{ARN: foreign, Policy: policy("00" + pcr0[2:])},
		},
		Principals: []kmstest.Principal{{ARN: role, IdentityAllows: true, AccessKey: kmstest.AccessKey{ID: "ASIAEXAMPLE", Secret: "secret", Token: "token"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Stop)
	options := kms.Options{
		Credentials: credentials.NewStaticCredentialsProvider("ASIAEXAMPLE", "secret", "token"),
		Dial:        new(net.Dialer).DialContext,
		RootCAs:     service.Pool(),
		Attest:      e.attest,
		Endpoint:    func(string) string { return service.URL },
	}
	c := client(t, options)
	options.Attest = nil
	outside := client(t, options)

	plain, sealed, err := c.GenerateDataKey(t.Context(), parse(t, mine), purpose())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := c.Decrypt(t.Context(), parse(t, mine), sealed, purpose())
	if err != nil || reveal(t, opened) != reveal(t, plain) {
		t.Errorf("data key: %v", err)
	}
	if sealed, err = c.Encrypt(t.Context(), parse(t, mine), newSecret(), purpose()); err != nil {
		t.Fatal(err)
	}
	if opened, err = c.Decrypt(t.Context(), parse(t, mine), sealed, purpose()); err != nil || reveal(t, opened) != canary {
		t.Errorf("encrypted: %v", err)
	}
	if random, err := c.GenerateRandom(t.Context(), "eu-central-1", 48); err != nil || len(reveal(t, random)) != 48 {
		t.Errorf("random: %v", err)
	}

	for _, test := range []struct {
		name   string
		client *kms.Client
		key    string
		ec     map[string]string
		want   error
	}{
		{"another share", c, mine, map[string]string{"chamber": "7", "share": "2"}, kms.ErrInvalidCiphertext},
		{"another chamber", c, mine, map[string]string{"chamber": "8", "share": "1"}, kms.ErrInvalidCiphertext},
		{"outside of the enclave", outside, mine, purpose(), kms.ErrDenied},
		{"a key for another program", c, foreign, purpose(), kms.ErrDenied},
		{"a disabled key", c, disabled, purpose(), kms.ErrDisabled},
		{"a key that is not there", c, missing, purpose(), kms.ErrNotFound},
	} {
		if _, err := test.client.Decrypt(t.Context(), parse(t, test.key), sealed, test.ec); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	for _, test := range []struct {
		name   string
		faults kmstest.Faults
		want   error // nil: it opens
	}{
		{"an envelope in one piece", kmstest.Faults{Primitive: true}, nil},
		{"an envelope in small pieces", kmstest.Faults{Chunk: 7}, nil},
		{"the document is lost", kmstest.Faults{DropRecipient: true}, kms.ErrPlaintext},
		{"noise as an envelope", kmstest.Faults{Garbage: kmstest.GarbageEnvelope}, kms.ErrEnvelope},
		{"an envelope for another", kmstest.Faults{Garbage: kmstest.GarbageKey}, kms.ErrEnvelope},
		{"no JSON", kmstest.Faults{Garbage: kmstest.GarbageBody}, kms.ErrUnavailable},
		{"a fault of the service", kmstest.Faults{Error: "DependencyTimeoutException"}, kms.ErrUnavailable},
		{"a key store that is not reached", kmstest.Faults{Error: "KeyUnavailableException"}, kms.ErrDisabled},
		{"throttled each time", kmstest.Faults{Throttle: 1}, kms.ErrThrottled},
		{"throttled every other time", kmstest.Faults{Throttle: 0.5}, nil},
	} {
		if err := service.SetFaults(mine, test.faults); err != nil {
			t.Fatal(err)
		}
		got, err := c.Decrypt(t.Context(), parse(t, mine), sealed, purpose())
		if !errors.Is(err, test.want) || test.want == nil && reveal(t, got) != canary {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}
