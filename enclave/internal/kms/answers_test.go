package kms_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
)

func TestBadAnswers(t *testing.T) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	another, err := x509.MarshalPKIXPublicKey(&other.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(a asked) []byte { return seal(t, a.publicKey(t), []byte(canary)) }
	var answer func(asked) reply
	s := serve(t, func(w http.ResponseWriter, a asked) { give(t, w, answer(a)) })
	attested, standard := attested(t, s), standard(t, s)
	for i, test := range []struct {
		name   string
		client *kms.Client
		answer func(asked) reply
		want   error
	}{
		{"a plaintext", attested, func(asked) reply { return reply{KeyId: keyText, Plaintext: []byte(canary)} }, kms.ErrPlaintext},
		{"a plaintext beside the envelope", attested, func(a asked) reply {
			return reply{KeyId: keyText, Plaintext: []byte(canary), CiphertextForRecipient: sealed(a)}
		}, kms.ErrPlaintext},
		{"no envelope", attested, func(asked) reply { return reply{KeyId: keyText} }, kms.ErrEnvelope},
		{"an envelope for another", attested, func(asked) reply {
			return reply{KeyId: keyText, CiphertextForRecipient: seal(t, another, []byte(canary))}
		}, kms.ErrEnvelope},
		{"a damaged envelope", attested, func(a asked) reply {
			damaged := sealed(a)
			damaged[200] ^= 1
			return reply{KeyId: keyText, CiphertextForRecipient: damaged}
		}, kms.ErrEnvelope},
		{"an empty secret", attested, func(a asked) reply {
			return reply{KeyId: keyText, CiphertextForRecipient: seal(t, a.publicKey(t), nil)}
		}, kms.ErrAnswer},
		{"a long secret", attested, func(a asked) reply {
			return reply{KeyId: keyText, CiphertextForRecipient: seal(t, a.publicKey(t), make([]byte, kms.MaxPlaintext+1))}
		}, kms.ErrAnswer},
		{"another key", attested, func(a asked) reply { return reply{KeyId: thereARN, CiphertextForRecipient: sealed(a)} }, kms.ErrAnswer},
		{"no key", attested, func(a asked) reply { return reply{CiphertextForRecipient: sealed(a)} }, kms.ErrAnswer},
		{"no plaintext in standard mode", standard, func(asked) reply { return reply{KeyId: keyText} }, kms.ErrAnswer},
		{"a long plaintext in standard mode", standard, func(asked) reply {
			return reply{KeyId: keyText, Plaintext: []byte(strings.Repeat(canary, 129))}
		}, kms.ErrAnswer},
		{"another key in standard mode", standard, func(asked) reply { return reply{KeyId: thereARN, Plaintext: []byte(canary)} }, kms.ErrAnswer},
		{"nothing", standard, func(asked) reply { return reply{} }, kms.ErrAnswer},
	} {
		answer = test.answer
		got, err := test.client.Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose())
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
			continue
		}
		if !strings.HasPrefix(err.Error(), "KMS Decrypt with "+keyText+": ") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error is %q", test.name, err)
		}
		if got.Use(func([]byte) error { return nil }) == nil {
			t.Errorf("%s: there is a secret beside the error", test.name)
		}
		if n := len(s.requests()); n != i+1 {
			t.Errorf("%s: %d requests, want 1", test.name, n-i)
		}
	}
}

func TestBadAnswersToOthers(t *testing.T) {
	var answer reply
	s := serve(t, func(w http.ResponseWriter, a asked) {
		r := answer
		if a.Body.Recipient != nil && r.Plaintext != nil {
			r.CiphertextForRecipient, r.Plaintext = seal(t, a.publicKey(t), r.Plaintext), nil
		}
		give(t, w, r)
	})
	for _, c := range []*kms.Client{attested(t, s), standard(t, s)} {
		for name, bad := range map[string]reply{
			"31 bytes":    {KeyId: keyText, Plaintext: []byte(canary[1:]), CiphertextBlob: []byte("wrapped")},
			"33 bytes":    {KeyId: keyText, Plaintext: []byte(canary + "."), CiphertextBlob: []byte("wrapped")},
			"not sealed":  {KeyId: keyText, Plaintext: []byte(canary)},
			"another key": {KeyId: thereARN, Plaintext: []byte(canary), CiphertextBlob: []byte("wrapped")},
		} {
			answer = bad
			if _, sealed, err := c.GenerateDataKey(t.Context(), parse(t, keyText), purpose()); !errors.Is(err, kms.ErrAnswer) || sealed != nil {
				t.Errorf("data key, %s: got %v", name, err)
			}
		}
		answer = reply{Plaintext: []byte(canary)}
		if _, err := c.GenerateRandom(t.Context(), "eu-central-1", 31); !errors.Is(err, kms.ErrAnswer) || !strings.HasPrefix(err.Error(), "KMS GenerateRandom in eu-central-1: ") {
			t.Errorf("random: got %v", err)
		}
		for name, bad := range map[string]reply{
			"nothing":     {KeyId: keyText},
			"another key": {KeyId: thereARN, CiphertextBlob: []byte("sealed")},
		} {
			answer = bad
			if sealed, err := c.Encrypt(t.Context(), parse(t, keyText), newSecret(), purpose()); !errors.Is(err, kms.ErrAnswer) || sealed != nil {
				t.Errorf("encrypt, %s: got %v", name, err)
			}
		}
	}
}

func TestErrorsOfKMS(t *testing.T) {
	all := []error{
		kms.ErrDenied, kms.ErrDisabled, kms.ErrNotFound, kms.ErrInvalidCiphertext, kms.ErrThrottled, kms.ErrClock, kms.ErrUnavailable,
		kms.ErrPlaintext, kms.ErrEnvelope, kms.ErrAnswer,
	}
	for _, test := range []struct {
		code   string
		status int
		want   error
		tries  int
	}{
		{"AccessDeniedException", 400, kms.ErrDenied, 1},
		{"DisabledException", 400, kms.ErrDisabled, 1},
		{"KMSInvalidStateException", 400, kms.ErrDisabled, 1},
		{"KeyUnavailableException", 500, kms.ErrDisabled, 1},
		{"NotFoundException", 400, kms.ErrNotFound, 1},
		{"InvalidCiphertextException", 400, kms.ErrInvalidCiphertext, 1},
		{"IncorrectKeyException", 400, kms.ErrInvalidCiphertext, 1},
		{"ThrottlingException", 400, kms.ErrThrottled, 3},
		{"LimitExceededException", 400, kms.ErrThrottled, 3},
		{"Whatever", 429, kms.ErrThrottled, 3},
		{"KMSInternalException", 500, kms.ErrUnavailable, 3},
		{"DependencyTimeoutException", 503, kms.ErrUnavailable, 3},
		{"", 502, kms.ErrUnavailable, 3},
		{"", 403, kms.ErrUnavailable, 3},
		{"ValidationException", 400, nil, 1},
		{"InvalidKeyUsageException", 400, nil, 1},
		{"ExpiredTokenException", 400, nil, 1},
	} {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel() // they wait
			s := serve(t, func(w http.ResponseWriter, _ asked) {
				fail(w, test.status, test.code, "first line\nX-Amz-Security-Token: token")
			})
			_, err := standard(t, s).Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose())
			for _, kind := range all {
				if errors.Is(err, kind) != (kind == test.want) { //nolint:errorlint // one of the table's
					t.Errorf("is %q: %t", kind, errors.Is(err, kind))
				}
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range []string{"KMS Decrypt with " + keyText, test.code, "first line", `request "request-7"`, fmt.Sprint(test.status)} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not contain %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "oken: token") {
				t.Errorf("%q tells the request's headers", err)
			}
			if n := len(s.requests()); n != test.tries {
				t.Errorf("%d requests, want %d", n, test.tries)
			}
		})
	}
}

// TestAnswersThatCannotBeRead: none of them is shown, because it may hold a secret.
func TestAnswersThatCannotBeRead(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"no JSON":    func(w http.ResponseWriter) { _, _ = w.Write([]byte(canary)) },
		"half of it": func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"Plaintext":"` + canary)) },
		"not base64": func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"Plaintext":"` + canary + `"}`)) },
		"a number": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"Plaintext":771177117711,"KeyId":"` + canary + `"}`))
		},
		"an error, not JSON":  func(w http.ResponseWriter) { w.WriteHeader(502); _, _ = w.Write([]byte("<html>" + canary)) },
		"a redirection":       func(w http.ResponseWriter) { w.Header().Set("Location", "https://evil.org/"); w.WriteHeader(307) },
		"without an end":      func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"KeyId":"` + strings.Repeat(canary, 1<<15))) },
		"less than announced": func(w http.ResponseWriter) { w.Header().Set("Content-Length", "900"); _, _ = w.Write([]byte(canary)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait
			s := serve(t, func(w http.ResponseWriter, _ asked) { answer(w) })
			_, err := standard(t, s).Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose())
			if !errors.Is(err, kms.ErrUnavailable) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "7711") {
				t.Errorf("got %v", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, address := range s.dialed {
				if address != "kms.eu-central-1.amazonaws.com:443" {
					t.Errorf("%s was dialed", address)
				}
			}
		})
	}
}

func TestTriesAgain(t *testing.T) {
	failures := 2
	s := serve(t, func(w http.ResponseWriter, a asked) {
		if failures--; failures >= 0 {
			fail(w, 400, "ThrottlingException", "")
			return
		}
		give(t, w, reply{KeyId: a.Body.KeyId, Plaintext: []byte(canary)})
	})
	got, err := standard(t, s).Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose())
	if err != nil || reveal(t, got) != canary {
		t.Errorf("got %v", err)
	}
}

// TestContextEndsIt: no try follows the end of the caller's patience, and the error keeps the reason.
func TestContextEndsIt(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	leaving := errors.New("the caller is leaving")
	s := serve(t, func(w http.ResponseWriter, _ asked) {
		fail(w, 400, "ThrottlingException", "slow down")
		cancel(leaving)
	})
	_, err := standard(t, s).Decrypt(ctx, parse(t, keyText), []byte("sealed"), purpose())
	if n := len(s.requests()); n != 1 || !errors.Is(err, kms.ErrThrottled) && !errors.Is(err, leaving) {
		t.Errorf("%d requests, %v", n, err)
	}
	_, err = standard(t, s).Decrypt(ctx, parse(t, keyText), []byte("sealed"), purpose())
	if !errors.Is(err, kms.ErrUnavailable) || !errors.Is(err, leaving) {
		t.Errorf("with an ended context: %v", err)
	}
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d requests, want none after the first", n)
	}
}

func TestNoCredentials(t *testing.T) {
	s := serve(t, nil)
	o := s.options()
	o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("the parent does not answer")
	})
	_, err := client(t, o).Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose())
	if !errors.Is(err, kms.ErrUnavailable) || !strings.Contains(err.Error(), "AWS credentials: the parent does not answer") || len(s.requests()) != 0 {
		t.Errorf("got %v", err)
	}
}
