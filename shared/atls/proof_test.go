package atls_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// TestExporterRefuses what is no connection of TLS 1.3: there is none, or the secret of an older version may be the same on two connections.
func TestExporterRefuses(t *testing.T) {
	for name, state := range map[string]*tls.ConnectionState{"none": nil, "no handshake": {}, "TLS 1.2": {Version: tls.VersionTLS12}} {
		if out, err := atls.Exporter(state); err == nil || out != [32]byte{} || !strings.Contains(err.Error(), "not TLS 1.3") {
			t.Errorf("%s: %x, %v", name, out, err)
		}
	}
}

// TestProofRefused: nothing but the request for the proof is ever sent to a server that does not prove itself.
func TestProofRefused(t *testing.T) {
	a := newAuthority(t)
	text := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			w.Write([]byte(body)) //nolint:errcheck // the client's affair
		}
	}
	for name, test := range map[string]struct {
		signer signer
		words  string
	}{
		"no endpoint":         {signer{answer: http.NotFound}, "status 404"},
		"redirect":            {signer{answer: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }}, "status 302"},
		"no document":         {signer{answer: text(200, "application/cose", "x")}, "decoding: envelope"},
		"too much":            {signer{answer: text(200, "application/cose", strings.Repeat("x", 1<<20))}, "too many for a document"},
		"other type":          {signer{answer: text(200, "text/html", "x")}, `type "text/html", want application/cose`},
		"other connection":    {signer{proof: func(b *atls.Binding) { b.Exporter[0] ^= 1 }}, "speaks of another connection than this one"},
		"other key":           {signer{proof: func(b *atls.Binding) { b.SPKI[0] ^= 1 }}, "another key than the certificate's"},
		"certificate's word":  {signer{proof: func(b *atls.Binding) { b.Purpose, b.Exporter = atls.PurposeCertificate, [32]byte{} }}, `binding: the document is for purpose "certificate", want "proof"`},
		"other nonce":         {signer{issued: func(p *issuer.Payload) { p.Nonce[0] ^= 1 }}, "not the one that was asked for"},
		"no nonce":            {signer{issued: func(p *issuer.Payload) { p.Nonce = nil }}, "nonce: absent"},
		"no user data":        {signer{issued: func(p *issuer.Payload) { p.UserData = nil }}, "binding: the document has no user_data"},
		"public key":          {signer{issued: func(p *issuer.Payload) { p.PublicKey = []byte{1} }}, "holds a public key, which is for KMS"},
		"other image":         {signer{issued: func(p *issuer.Payload) { p.PCRs = map[int]attestation.PCR{0: {9}, 1: {2}, 2: {3}} }}, "policy: measurements refused"},
		"debug mode":          {signer{issued: func(p *issuer.Payload) { p.PCRs = map[int]attestation.PCR{0: {}, 1: {}, 2: {}} }}, "debug mode"},
		"other configuration": {signer{proof: func(b *atls.Binding) { b.Config[0] ^= 1 }}, "policy: configuration refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.signer
			s.authority = a
			s.handler = func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") }
			ended := make(chan struct{})
			s.state = func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					close(ended)
				}
			}
			s.start(t)
			o := a.perConnection()
			o.Policy.ConfigDigest = &[48]byte{7}
			o.OnVerified = func(p atls.Peer) { t.Errorf("verified %+v", p) }
			_, err := get(t, transport(t, map[string]atls.Options{s.address: o}), "https://"+s.address+"/")
			e, ok := errors.AsType[*atls.Error](err)
			if !ok || e.Check != atls.CheckProof || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v, want %q", err, test.words)
			}
			if strings.Count(fmt.Sprint(err), "attested TLS: ") != 1 {
				t.Errorf("the check inside the proof repeats the words around it: %v", err)
			}
			<-ended // the connection of a server that was refused is not kept
		})
	}
}

// TestProofNotAwaited: who gives up waiting for a proof has not refused anybody.
func TestProofNotAwaited(t *testing.T) {
	ctx, giveUp := context.WithCancel(t.Context())
	s := (&signer{authority: newAuthority(t), answer: func(_ http.ResponseWriter, r *http.Request) {
		giveUp()
		<-r.Context().Done()
	}}).start(t)
	_, err := atls.Observe(ctx, s.address, s.authority.perConnection(), nil)
	if !errors.Is(err, atls.ErrNotFetched) || !errors.Is(err, context.Canceled) || errors.As(err, new(*atls.Error)) {
		t.Error(err)
	}
}

// TestProofNotFetched: an enclave that is busy, and a network that fails, are no reason to call somebody a liar.
func TestProofNotFetched(t *testing.T) {
	a := newAuthority(t)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "later", code) }
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		words  string
	}{
		"busy":    {status(http.StatusServiceUnavailable), `get /.well-known/attestation: status 503: "later\n"`},
		"limited": {status(http.StatusTooManyRequests), "status 429"},
		"fault":   {status(http.StatusInternalServerError), "status 500"},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "get /.well-known/attestation: "},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "100"); w.Write(nil) }, "unexpected EOF"}, //nolint:errcheck // the client's affair
	} {
		both(t, func(t *testing.T, h1 bool) {
			s := &signer{authority: a, h1: h1, answer: test.answer}
			s.handler = func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") }
			s.start(t)
			o := a.perConnection()
			o.OnVerified = func(p atls.Peer) { t.Errorf("verified %+v", p) }
			_, err := get(t, transport(t, map[string]atls.Options{s.address: o}), "https://"+s.address+"/")
			if !errors.Is(err, atls.ErrNotFetched) || errors.As(err, new(*atls.Error)) || !strings.Contains(err.Error(), test.words) ||
				!strings.Contains(err.Error(), "attested TLS: the proof could not be fetched: ") {
				t.Errorf("%s: got %v, want %q", name, err, test.words)
			}
		})
	}
}
