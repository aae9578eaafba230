package kms_test

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
)

// attestedCalls are the requests that carry a document.
func attestedCalls(t *testing.T, sealed []byte) map[string]func(*kms.Client) error {
	return map[string]func(*kms.Client) error{
		"Decrypt": func(c *kms.Client) error {
			got, err := c.Decrypt(t.Context(), parse(t, keyText), sealed, purpose())
			if err == nil && reveal(t, got) != canary {
				t.Error("it is another secret")
			}
			return err
		},
		"GenerateDataKey": func(c *kms.Client) error {
			_, _, err := c.GenerateDataKey(t.Context(), parse(t, keyText), purpose())
			return err
		},
		"GenerateRandom": func(c *kms.Client) error {
			_, err := c.GenerateRandom(t.Context(), "eu-central-1", 48)
			return err
		},
	}
}

// standIn is a KMS with a key that one role may use, also without a document, and what asks it from an enclave.
func standIn(t *testing.T, e enclave) (*kmstest.Running, kms.Options) {
	t.Helper()
	const (
		role   = "arn:aws:iam::111122223333:role/signer"
		policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + role + `"},"Action":"kms:*","Resource":"*"}}`
	)
	service, err := kmstest.Start(kmstest.Options{
		Roots:      []*x509.Certificate{e.root},
		Keys:       []kmstest.Key{{ARN: keyText, Policy: []byte(policy)}},
		Principals: []kmstest.Principal{{ARN: role, IdentityAllows: true, AccessKey: kmstest.AccessKey{ID: "ASIAEXAMPLE", Secret: "secret", Token: "token"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Stop)
	return service, kms.Options{
		Credentials: credentials.NewStaticCredentialsProvider("ASIAEXAMPLE", "secret", "token"), Dial: new(net.Dialer).DialContext,
		RootCAs: service.Pool(), Attest: e.attest, Endpoint: func(string) string { return service.URL },
	}
}

// TestClockIsOff: with a clock that is an hour off, the first request is refused and sent again with the time of KMS, by which all others
// are signed. A document has the time of the security module: if that is off as well, KMS refuses it, and the error tells of the clock.
func TestClockIsOff(t *testing.T) {
	const (
		badTime  = "InvalidSignatureException"
		badProof = "ValidationException"
	)
	for _, test := range []struct {
		name          string
		service       time.Duration // KMS's clock is so far ahead of this machine's
		device        time.Duration // the security module's, too
		first, second []string      // what KMS answers to a client's first two calls
		want          string        // in the error; empty for none
	}{
		{"behind", time.Hour, time.Hour, []string{badTime, ""}, []string{""}, ""},
		{"ahead", -time.Hour, -time.Hour, []string{badTime, ""}, []string{""}, ""},
		{"behind, with the module", time.Hour, 0, []string{badTime, badProof}, []string{badProof}, "this machine's clock is 1h0m0s behind that of KMS"},
		{"ahead, with the module", -time.Hour, 0, []string{badTime, badProof}, []string{badProof}, "this machine's clock is 1h0m0s ahead of that of KMS"},
		{"four minutes behind", 4 * time.Minute, 0, []string{""}, []string{""}, ""},
		{"the module's alone behind", 0, -time.Hour, []string{badProof}, []string{badProof}, "freshness"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // they wait
			e := newEnclave(t, func() time.Time { return time.Now().Add(test.device) })
			service, options := standIn(t, e)
			sealed, err := client(t, options).Encrypt(t.Context(), parse(t, keyText), newSecret(), purpose())
			if err != nil {
				t.Fatal(err)
			}
			service.SetClock(test.service)
			for operation, call := range attestedCalls(t, sealed) {
				c := client(t, options)
				for _, answers := range [][]string{test.first, test.second} {
					before := len(service.Trail())
					err := call(c)
					if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
						t.Errorf("%s: %v, want %q", operation, err, test.want)
					}
					var got []string
					for _, event := range service.Trail()[before:] {
						got = append(got, event.Error)
					}
					if diff := cmp.Diff(answers, got); diff != "" {
						t.Errorf("%s: KMS answered, -want +got:\n%s", operation, diff)
					}
				}
			}
		})
	}
}

// TestClockIsSetRight: what was learnt of a clock that was off is forgotten as it was learnt, when the clock is right again.
func TestClockIsSetRight(t *testing.T) {
	service, options := standIn(t, newEnclave(t, time.Now))
	options.Attest = nil // a document has a time of its own
	sealed, err := client(t, options).Encrypt(t.Context(), parse(t, keyText), newSecret(), purpose())
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, options)
	for _, ahead := range []time.Duration{time.Hour, 0, -time.Hour, 0} {
		service.SetClock(ahead)
		before := len(service.Trail())
		if _, err := c.Decrypt(t.Context(), parse(t, keyText), sealed, purpose()); err != nil {
			t.Errorf("KMS %v ahead: %v", ahead, err)
		}
		if got := len(service.Trail()) - before; got != 2 {
			t.Errorf("KMS %v ahead: %d requests, want one that is refused and one that is not", ahead, got)
		}
	}
}

// TestClockIsNamed: where the correction does not help, the error says what is wrong, and what is only said of a signature is not taken
// for the clock.
func TestClockIsNamed(t *testing.T) {
	for _, test := range []struct {
		name, date, code string
		ahead            time.Duration // KMS's clock
		drifts           bool          // further with each answer
		clock            bool          // the error is ErrClock
		tries            int
		want             string // in the error; empty: nothing about a clock
	}{
		{name: "a wrong secret, too, behind", ahead: time.Hour, code: "InvalidSignatureException", tries: 2, want: "clock is 1h0m0s behind that of KMS"},
		{name: "a wrong secret, too, ahead", ahead: -time.Hour, code: "InvalidSignatureException", tries: 2, want: "clock is 1h0m0s ahead of that of KMS"},
		{name: "another time in each answer", ahead: time.Hour, drifts: true, code: "InvalidSignatureException", clock: true, tries: 3, want: "signed with a wrong time: InvalidSignatureException: no"},
		{name: "right", code: "InvalidSignatureException", tries: 1},
		{name: "nearly right", ahead: 3 * time.Minute, code: "InvalidSignatureException", tries: 1},
		{name: "not told", date: "yesterday", code: "InvalidSignatureException", tries: 1},
		{name: "another refusal", ahead: time.Hour, code: "ValidationException", tries: 1, want: "clock is 1h0m0s behind that of KMS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // they wait
			var answers atomic.Int64
			s := serve(t, func(w http.ResponseWriter, _ asked) {
				date, ahead := test.date, test.ahead
				if n := answers.Add(1); test.drifts {
					ahead *= time.Duration(n)
				}
				if date == "" {
					date = time.Now().Add(ahead).UTC().Format(http.TimeFormat)
				}
				w.Header().Set("Date", date)
				fail(w, http.StatusBadRequest, test.code, "no")
			})
			_, err := standard(t, s).Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose())
			if err == nil || errors.Is(err, kms.ErrClock) != test.clock || !strings.Contains(err.Error(), test.want) ||
				strings.Contains(err.Error(), "clock") != (test.want != "") {
				t.Errorf("%v, want %q", err, test.want)
			}
			if n := len(s.requests()); n != test.tries {
				t.Errorf("%d requests, want %d", n, test.tries)
			}
		})
	}
}

// TestClockOfManyCallers: what one request learns, those beside it may use; none fails.
func TestClockOfManyCallers(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, a asked) {
		there := time.Now().Add(time.Hour).UTC()
		w.Header().Set("Date", there.Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", a.Header.Get("X-Amz-Date"))
		if err != nil || there.Sub(signed).Abs() > 5*time.Minute {
			fail(w, http.StatusBadRequest, "InvalidSignatureException", "Signature expired")
			return
		}
		give(t, w, reply{KeyId: a.Body.KeyId, Plaintext: []byte(canary)})
	})
	c := standard(t, s)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := c.Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
