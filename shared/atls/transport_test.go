package atls_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// both runs a test over each version of HTTP.
func both(t *testing.T, test func(t *testing.T, h1 bool)) {
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, true) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, false) })
}

func TestTransport(t *testing.T) {
	both(t, func(t *testing.T, h1 bool) {
		a := newAuthority(t)
		s := (&signer{authority: a, h1: h1, handler: func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(w, r.Method, " ", r.Proto, " ", r.Host, " ", string(body)) //nolint:gosec // no browser reads it
		}}).start(t)
		var peers []atls.Peer
		o := a.perConnection()
		o.OnVerified = func(p atls.Peer) { peers = append(peers, p) }
		client := &http.Client{Transport: transport(t, map[string]atls.Options{s.address: o})}
		want := "POST HTTP/2.0 " + s.address + " hello"
		if h1 {
			want = strings.Replace(want, "2.0", "1.1", 1)
		}
		for range 3 {
			res, err := client.Post("https://"+s.address+"/x", "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if string(body) != want || err != nil || res.TLS == nil {
				t.Errorf("got %q, %v, want %q", body, err, want)
			}
		}
		if len(peers) != 1 || s.proofs.Load() != 1 {
			t.Fatalf("%d peers, %d proofs over three requests, want one connection", len(peers), s.proofs.Load())
		}
		if p := peers[0]; p.Proof == nil || len(p.Proof.Nonce) != atls.NonceSize || p.Label != "image" || p.Document == nil || !p.NotAfter.Equal(now.Add(time.Hour)) {
			t.Errorf("got %+v", p)
		}
	})
}

// TestServersHaveTheirOwnOptions: each name has its policy, by host and port, or by host alone.
func TestServersHaveTheirOwnOptions(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	one, two := (&signer{authority: a}).start(t), (&signer{authority: b}).start(t)
	rt := transport(t, map[string]atls.Options{one.address: a.options(), "127.0.0.1": b.options()})
	for _, s := range []*signer{one, two} {
		if body, err := get(t, rt, "https://"+s.address+"/"); err != nil || body != "1" {
			t.Errorf("%s: %q, %v", s.address, body, err)
		}
	}
	// The other one's options.
	rt = transport(t, map[string]atls.Options{one.address: b.options(), two.address: a.options()})
	for _, s := range []*signer{one, two} {
		_, err := get(t, rt, "https://"+s.address+"/")
		if e, ok := errors.AsType[*atls.Error](err); !ok || e.Check != atls.CheckDocument || !strings.Contains(err.Error(), "connect to "+s.address) {
			t.Errorf("%s under another root: %v", s.address, err)
		}
	}
	for url, words := range map[string]string{
		"https://elsewhere/":          "no policy is named for elsewhere:443",
		"http://" + one.address + "/": "is no https URL",
		"https://localhost:" + one.address[strings.Index(one.address, ":")+1:] + "/": "no policy is named for localhost",
	} {
		if _, err := get(t, rt, url); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", url, err, words)
		}
	}
}

func TestNewTransportRefuses(t *testing.T) {
	a := newAuthority(t)
	empty := a.options()
	empty.Policy = attestation.Policy{}
	for words, o := range map[string]atls.TransportOptions{
		"no server is named":            {},
		"server signer: attested TLS: ": {Servers: map[string]atls.Options{"good": a.options(), "signer": empty}},
		"trust: no store is named":      {Servers: map[string]atls.Options{"signer": {Trust: &atls.Trust{Name: "x"}}}},
		`trust: name ""`:                {Servers: map[string]atls.Options{"signer": {Trust: &atls.Trust{Store: &atls.TrustStore{Path: "x"}}}}},
		"policy allows no measurements": {Servers: map[string]atls.Options{"signer": empty}},
	} {
		if tr, err := atls.NewTransport(o); tr != nil || err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, %v, want %q", tr != nil, err, words)
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
		"overloaded":          {signer{answer: text(503, "application/json", `{"message":"later"}`)}, `status 503: "{\"message\":\"later\"}"`},
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
			s.start(t)
			o := a.perConnection()
			o.Policy.ConfigDigest = &[48]byte{7}
			o.OnVerified = func(p atls.Peer) { t.Errorf("verified %+v", p) }
			_, err := get(t, transport(t, map[string]atls.Options{s.address: o}), "https://"+s.address+"/")
			e, ok := errors.AsType[*atls.Error](err)
			if !ok || e.Check != atls.CheckProof || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v, want %q", err, test.words)
			}
		})
	}
}
