package atls

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// TestDefaults: who names neither clock nor cache has the machine's clock, and verifies each document once.
func TestDefaults(t *testing.T) {
	v, err := newVerifier(Options{Policy: attestation.Policy{Sets: []attestation.Set{{PCRs: attestation.Measurements{0: {1}}}}}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if v.Cache == nil || v.Now == nil || time.Since(v.Now()).Abs() > time.Hour {
		t.Errorf("got %+v", v)
	}
}

// TestVerifyConnection: the configuration of a client allows neither an older TLS nor resumption, and should somebody change that, the
// check itself does not either.
func TestVerifyConnection(t *testing.T) {
	v := &verifier{Options: Options{Now: time.Now}}
	for words, state := range map[string]tls.ConnectionState{
		"not TLS 1.3":             {Version: tls.VersionTLS12},
		"the session was resumed": {Version: tls.VersionTLS13, DidResume: true},
	} {
		_, err := v.verify(state)
		if e, ok := errors.AsType[*Error](err); !ok || e.Check != CheckConnection || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
}
