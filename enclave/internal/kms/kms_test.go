package kms_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// reveal returns what a secret holds.
func reveal(t *testing.T, s secret.Bytes) string {
	t.Helper()
	var out string
	if err := s.Use(func(b []byte) error { out = string(b); return nil }); err != nil {
		t.Error(err)
	}
	return out
}

func TestDecrypt(t *testing.T) {
	for mode, newClient := range map[string]func(*testing.T, *service) *kms.Client{"attested": attested, "standard": standard} {
		t.Run(mode, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, a asked) {
				if mode == "standard" {
					give(t, w, reply{KeyId: a.Body.KeyId, Plaintext: []byte(canary)})
					return
				}
				give(t, w, reply{KeyId: a.Body.KeyId, CiphertextForRecipient: seal(t, a.publicKey(t), []byte(canary))})
			})
			c := newClient(t, s)
			if c.Attested() != (mode == "attested") {
				t.Errorf("Attested is %t", c.Attested())
			}
			for range 2 {
				got, err := c.Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose())
				if err != nil || reveal(t, got) != canary {
					t.Fatalf("got %q, %v", reveal(t, got), err)
				}
			}
			requests := s.requests()
			if len(requests) != 2 {
				t.Fatalf("%d requests, want 2", len(requests))
			}
			for i, a := range requests {
				want := a.Body
				want.KeyId, want.CiphertextBlob, want.EncryptionContext = keyText, []byte("sealed"), purpose()
				want.EncryptionAlgorithm = "SYMMETRIC_DEFAULT"
				if diff := cmp.Diff(want, a.Body); diff != "" || a.Operation != "Decrypt" {
					t.Errorf("%s, -want +got:\n%s", a.Operation, diff)
				}
				switch {
				case mode == "standard":
					if a.Body.Recipient != nil {
						t.Error("a Recipient without an enclave")
					}
				case a.Body.Recipient == nil || a.Body.Recipient.KeyEncryptionAlgorithm != "RSAES_OAEP_SHA_256":
					t.Errorf("Recipient is %+v", a.Body.Recipient)
				case a.Body.Recipient.AttestationDocument[1] != byte('1'+i):
					t.Errorf("request %d has document %c, want a new one", i, a.Body.Recipient.AttestationDocument[1])
				case string(a.publicKey(t)) != string(requests[0].publicKey(t)):
					t.Error("the key changed")
				}
			}
		})
	}
}

func TestEachProcessHasItsOwnKey(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, a asked) {
		give(t, w, reply{KeyId: a.Body.KeyId, CiphertextForRecipient: seal(t, a.publicKey(t), []byte(canary))})
	})
	for range 2 {
		if _, err := attested(t, s).Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose()); err != nil {
			t.Fatal(err)
		}
	}
	if r := s.requests(); string(r[0].publicKey(t)) == string(r[1].publicKey(t)) {
		t.Error("two clients have one key")
	}
}

func TestGenerateDataKey(t *testing.T) {
	for mode, newClient := range map[string]func(*testing.T, *service) *kms.Client{"attested": attested, "standard": standard} {
		s := serve(t, func(w http.ResponseWriter, a asked) {
			r := reply{KeyId: a.Body.KeyId, CiphertextBlob: []byte("wrapped")}
			if mode == "standard" {
				r.Plaintext = []byte(canary)
			} else {
				r.CiphertextForRecipient = seal(t, a.publicKey(t), []byte(canary))
			}
			give(t, w, r)
		})
		plain, wrapped, err := newClient(t, s).GenerateDataKey(t.Context(), parse(t, keyText), purpose())
		if err != nil || reveal(t, plain) != canary || string(wrapped) != "wrapped" {
			t.Errorf("%s: got %q, %q, %v", mode, reveal(t, plain), wrapped, err)
		}
		a := s.requests()[0]
		if a.Operation != "GenerateDataKey" || a.Body.KeyId != keyText || a.Body.KeySpec != "AES_256" || cmp.Diff(purpose(), a.Body.EncryptionContext) != "" {
			t.Errorf("%s: asked for %s %+v", mode, a.Operation, a.Body)
		}
	}
}

func TestGenerateRandom(t *testing.T) {
	for mode, newClient := range map[string]func(*testing.T, *service) *kms.Client{"attested": attested, "standard": standard} {
		s := serve(t, func(w http.ResponseWriter, a asked) {
			random := []byte(strings.Repeat("r", a.Body.NumberOfBytes))
			if mode == "standard" {
				give(t, w, reply{Plaintext: random})
				return
			}
			give(t, w, reply{CiphertextForRecipient: seal(t, a.publicKey(t), random)})
		})
		c := newClient(t, s)
		for _, n := range []int{1, 32, kms.MaxRandom} {
			got, err := c.GenerateRandom(t.Context(), "us-east-1", n)
			if err != nil || reveal(t, got) != strings.Repeat("r", n) {
				t.Errorf("%s: %d bytes: got %q, %v", mode, n, reveal(t, got), err)
			}
		}
		for region, n := range map[string]int{"eu-central-1": 0, "us-east-1": kms.MaxRandom + 1, "eu-west-1": -1, "evil.org/": 32, "": 32} {
			if _, err := c.GenerateRandom(t.Context(), region, n); err == nil {
				t.Errorf("%s: %d bytes in %q were asked for", mode, n, region)
			}
		}
		if r := s.requests(); len(r) != 3 || r[0].Host != "kms.us-east-1.amazonaws.com" {
			t.Errorf("%s: %d requests, to %s", mode, len(r), r[0].Host)
		}
	}
}

func TestEncrypt(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, a asked) {
		give(t, w, reply{KeyId: a.Body.KeyId, CiphertextBlob: []byte("sealed")})
	})
	for _, c := range []*kms.Client{attested(t, s), standard(t, s)} {
		plain := secret.New([]byte(canary))
		got, err := c.Encrypt(t.Context(), parse(t, keyText), plain, purpose())
		if err != nil || string(got) != "sealed" || reveal(t, plain) != canary {
			t.Errorf("got %q, %v, and the secret is %q", got, err, reveal(t, plain))
		}
		for _, refused := range []secret.Bytes{{}, secret.New([]byte{}), secret.New(make([]byte, kms.MaxPlaintext+1))} {
			if _, err := c.Encrypt(t.Context(), parse(t, keyText), refused, purpose()); err == nil {
				t.Error("a plaintext of a wrong size was sent")
			}
		}
	}
	requests := s.requests()
	if len(requests) != 2 {
		t.Fatalf("%d requests, want 2", len(requests))
	}
	for _, a := range requests {
		if a.Operation != "Encrypt" || a.Body.KeyId != keyText || string(a.Body.Plaintext) != canary || a.Body.Recipient != nil ||
			cmp.Diff(purpose(), a.Body.EncryptionContext) != "" {
			t.Errorf("asked for %s %+v", a.Operation, a.Body)
		}
	}
}

func TestNothingIsAskedWithoutKeyOrContext(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ asked) { fail(w, 500, "KMSInternalException", "") })
	c := attested(t, s)
	for _, test := range []struct {
		key  kms.ARN
		ec   map[string]string
		want string
	}{
		{kms.ARN{}, purpose(), "no key is given"},
		{parse(t, keyText), nil, keyText + ": no encryption context is given"},
		{parse(t, keyText), map[string]string{}, "no encryption context is given"},
	} {
		_, decrypt := c.Decrypt(t.Context(), test.key, []byte("sealed"), test.ec)
		_, _, generate := c.GenerateDataKey(t.Context(), test.key, test.ec)
		_, encrypt := c.Encrypt(t.Context(), test.key, secret.New([]byte(canary)), test.ec)
		for operation, err := range map[string]error{"Decrypt": decrypt, "GenerateDataKey": generate, "Encrypt": encrypt} {
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "KMS "+operation) {
				t.Errorf("%s: %v, want an error that contains %q", operation, err, test.want)
			}
		}
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestNewWantsWhatItNeeds(t *testing.T) {
	s := serve(t, nil)
	for _, change := range []func(*kms.Options){
		func(o *kms.Options) { o.Credentials = nil },
		func(o *kms.Options) { o.Dial = nil },
	} {
		o := s.options()
		change(&o)
		if _, err := kms.New(o); err == nil {
			t.Error("a client without credentials, or without a way to KMS")
		}
	}
}

func TestRunMakesTheKeyAndEnds(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, a asked) {
		give(t, w, reply{KeyId: a.Body.KeyId, CiphertextForRecipient: seal(t, a.publicKey(t), []byte(canary))})
	})
	for _, c := range []*kms.Client{attested(t, s), standard(t, s)} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		if c.Attested() {
			if _, err := c.Decrypt(ctx, parse(t, keyText), []byte("sealed"), purpose()); err != nil {
				t.Error(err)
			}
		}
		select {
		case err := <-ended:
			t.Errorf("ended by itself: %v", err)
		default:
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestAttestationFails(t *testing.T) {
	s := serve(t, nil)
	o := s.options()
	gone := errors.New("the device is gone")
	o.Attest = func(context.Context, []byte) ([]byte, error) { return nil, gone }
	_, err := client(t, o).Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose())
	if !errors.Is(err, gone) || !strings.Contains(err.Error(), "KMS Decrypt with "+keyText+": attest") || len(s.requests()) != 0 {
		t.Errorf("got %v, after %d requests", err, len(s.requests()))
	}
}

// TestClientDoesNotPrintItsKey: neither the private key nor a part of it is reached by printing a client.
func TestClientDoesNotPrintItsKey(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, a asked) {
		give(t, w, reply{KeyId: a.Body.KeyId, CiphertextForRecipient: seal(t, a.publicKey(t), []byte(canary))})
	})
	c := attested(t, s)
	if _, err := c.Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v", c), fmt.Sprintf("%+v", *c), fmt.Sprintf("%#v", *c)} {
		if strings.Contains(text, "PrivateKey") || strings.Contains(text, "Primes") || strings.Contains(text, "65537") {
			t.Errorf("the key is printed: %s", text)
		}
	}
}
