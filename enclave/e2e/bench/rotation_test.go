package main

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// TestRotations is one repeat over a real signer.
func TestRotations(t *testing.T) {
	r := &rotations{dir: t.TempDir(), chain: testChain(t), size: 4, repeats: wantedRotations / 5}
	defer func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.repeat(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	if r.made != 5 || r.sent.Load() == 0 || r.answered.Load() != r.sent.Load() || r.connected.Load() == 0 {
		t.Errorf("%d rotations, %d sent, %d answered, %d connections", r.made, r.sent.Load(), r.answered.Load(), r.connected.Load())
	}
}

// TestDropped: one request without the right answer is told, with the figures.
func TestDropped(t *testing.T) {
	key, err := seedKey(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		answer  http.HandlerFunc
		failure string
	}{
		{"refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "status 503"},
		{"no signature", func(http.ResponseWriter, *http.Request) {}, "0 signatures for 1 keys"},
		{"cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked atomic.Int64
			struck := make(chan struct{}) // closed by the request that is dropped: the rotation lasts until then
			s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/rotate":
					<-struck
				case asked.Add(1) == 3:
					close(struck)
					test.answer(w, r)
				default:
					sign(t, key, w, r)
				}
			}))
			defer s.Close()
			control := httptest.NewServer(s.Config.Handler)
			defer control.Close()
			r := &rotations{chain: testChain(t), repeats: wantedRotations, clients: []*http.Client{s.Client()}, signers: []bls.PublicKey{key.PublicKey()}}
			r.stand = &stand{url: control.URL, first: simulatedState{Addresses: map[string]string{listenAPI: s.Listener.Addr().String()}}}
			err := r.repeat(t.Context(), time.Second)
			if err == nil || !strings.HasPrefix(err.Error(), "1 of ") || !strings.Contains(err.Error(), " requests were dropped within 1 rotations") ||
				!strings.Contains(err.Error(), test.failure) {
				t.Errorf("error %v, want one request dropped because of %q", err, test.failure)
			}
		})
	}
}

// sign answers as a signer does.
func sign(t *testing.T, key *bls.SecretKey, w http.ResponseWriter, r *http.Request) {
	var asked struct{ SigningRoot string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		t.Error(err)
	}
	root, err := hex.DecodeString(strings.TrimPrefix(asked.SigningRoot, "0x"))
	if err != nil || len(root) != 32 {
		t.Errorf("signing root %q", asked.SigningRoot)
		return
	}
	signature, err := key.Sign([32]byte(root))
	if err != nil {
		t.Error(err)
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"signature": signature.String()})
}
