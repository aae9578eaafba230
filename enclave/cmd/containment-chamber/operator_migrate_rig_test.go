package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// otherSigner answers as a signer of another make does, until a test has it do something else.
type otherSigner struct {
	t    *testing.T
	keys map[string]*bls.SecretKey

	// list and sign take over if they answer; header is what every request must have.
	list   func(w http.ResponseWriter) bool
	sign   func(w http.ResponseWriter, key string) bool
	header map[string]string
}

func newOtherSigner(t *testing.T, keys ...int) *otherSigner {
	t.Helper()
	s := &otherSigner{t: t, keys: map[string]*bls.SecretKey{}}
	for _, n := range keys {
		scalar := make([]byte, bls.SecretKeySize)
		scalar[30], scalar[31] = byte(n>>8), byte(n)
		key, err := bls.NewSecretKey(scalar)
		if err != nil {
			t.Fatal(err)
		}
		s.keys[key.PublicKey().String()] = key
	}
	return s
}

// start serves it over http.
func (s *otherSigner) start() *httptest.Server {
	s.t.Helper()
	server := httptest.NewServer(s)
	s.t.Cleanup(server.Close)
	return server
}

// signer serves it, and is the command's side of it.
func (s *otherSigner) signer(name string) *keySigner {
	s.t.Helper()
	base, err := url.Parse(s.start().URL)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := plainTransport(4)
	s.t.Cleanup(transport.CloseIdleConnections)
	out := newKeySigner(name, base, transport, transport.CloseIdleConnections)
	out.pause = 0
	return out
}

func (s *otherSigner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, want := range s.header {
		if got := r.Header.Get(name); got != want {
			s.t.Errorf("%s: header %s is %q, want %q", r.URL, name, got, want)
		}
	}
	switch key, isSign := strings.CutPrefix(r.URL.Path, routeSign); {
	case r.URL.Path == operator.RouteStatus:
		fmt.Fprint(w, `{"network":"hoodi"}`)
	case r.URL.Path == routeKeys && r.Method == http.MethodGet:
		if s.list != nil && s.list(w) {
			return
		}
		listed := []string{}
		for public := range s.keys {
			listed = append(listed, public)
		}
		_ = json.NewEncoder(w).Encode(listed)
	case isSign && r.Method == http.MethodPost:
		root := s.check(r)
		if s.sign == nil || !s.sign(w, key) {
			s.signRoot(w, key, root)
		}
	default:
		s.t.Errorf("asked for %s %s", r.Method, r.URL)
	}
}

// check fails the test for a request that could be slashed, and returns the root that is to be signed.
func (s *otherSigner) check(r *http.Request) (root [32]byte) {
	var body struct {
		Type, SigningRoot string
		Slot              struct {
			Slot string
		} `json:"aggregation_slot"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Type != "AGGREGATION_SLOT" || len(body.Slot.Slot) < 13 {
		s.t.Errorf("it was asked to sign %+v: %v", body, err)
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(body.SigningRoot, "0x"))
	if err != nil || len(raw) != len(root) {
		s.t.Errorf("signing root %q: %v", body.SigningRoot, err)
		return root
	}
	return [32]byte(raw)
}

// signRoot answers in plain text, as Web3Signer does unless JSON is asked for.
func (s *otherSigner) signRoot(w http.ResponseWriter, key string, root [32]byte) {
	secret := s.keys[key]
	if secret == nil {
		http.Error(w, "", http.StatusNotFound)
		return
	}
	signature, err := secret.Sign(root)
	if err != nil {
		s.t.Error(err)
	}
	fmt.Fprint(w, signature)
}

// answers is a signer's answer to every request for a signature.
func answers(status int, body string, header ...string) func(http.ResponseWriter, string) bool {
	return func(w http.ResponseWriter, _ string) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	}
}

// lists is a signer's answer to who asks for its keys.
func lists(status int, body string) func(http.ResponseWriter) bool {
	return func(w http.ResponseWriter) bool { return answers(status, body, "Retry-After", "0")(w, "") }
}

// signature is one of n that is of the right length.
func signature(n byte) string { return "0x" + hex.EncodeToString(bytes.Repeat([]byte{n}, 96)) }
