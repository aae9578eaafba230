package atls_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// secret is what a client sends and an attacker wants to see.
const secret = `{"keystores":["validator key"]}`

// send posts the secret, as a client that imports a key would.
func send(t *testing.T, rt http.RoundTripper, address string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/eth/v1/keystores", strings.NewReader(secret))
	if err != nil {
		t.Fatal(err)
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// relay is an attacker with the enclave's TLS key: it shows the enclave's certificate, reads what comes, and asks the enclave over a
// connection of its own for whatever it needs itself, proofs included.
func relay(t *testing.T, enclave *signer, stolen *[]string) *signer {
	forward := transport(t, map[string]atls.Options{enclave.address: enclave.authority.options()})
	pass := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if len(body) > 0 {
			*stolen = append(*stolen, string(body))
		}
		req, err := http.NewRequestWithContext(r.Context(), r.Method, "https://"+enclave.address+r.URL.RequestURI(), strings.NewReader(string(body)))
		if err != nil {
			t.Error(err)
			return
		}
		res, err := forward.RoundTrip(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
		_, _ = io.Copy(w, res.Body)
	}
	return (&signer{authority: enclave.authority, certificate: enclave.certificate, answer: pass, handler: pass}).start(t)
}

// TestRelay: whoever has stolen the certificate's key is believed for as long as the document in it holds, unless the client asks for
// a proof per connection.
func TestRelay(t *testing.T) {
	both(t, func(t *testing.T, h1 bool) {
		enclave := (&signer{authority: newAuthority(t), h1: h1}).start(t)
		var stolen []string
		attacker := relay(t, enclave, &stolen)
		t.Logf("the enclave listens on %s; the attacker, who has stolen its TLS key, on %s", enclave.address, attacker.address)

		o := enclave.authority.options()
		if err := send(t, transport(t, map[string]atls.Options{attacker.address: o}), attacker.address); err != nil {
			t.Errorf("the certificate alone: %v", err)
		}
		if len(stolen) != 1 || stolen[0] != secret {
			t.Fatalf("stolen %q: the attack does not work, so that refusing it proves nothing", stolen)
		}
		t.Logf("client that trusts the certificate alone: accepted; the attacker read %s", stolen[0])

		stolen = nil
		err := send(t, transport(t, map[string]atls.Options{attacker.address: enclave.authority.perConnection()}), attacker.address)
		e, ok := errors.AsType[*atls.Error](err)
		if !ok || e.Check != atls.CheckProof || !strings.Contains(err.Error(), "speaks of another connection than this one: somebody stands between") {
			t.Errorf("per connection: %v", err)
		}
		if enclave.proofs.Load() != 1 || len(stolen) != 0 {
			t.Errorf("the enclave made %d proofs, want the one for the attacker's connection; stolen %q", enclave.proofs.Load(), stolen)
		}
		t.Logf("client that asks for a proof per connection: %v; the attacker read nothing", err)
	})
}

// TestReplayedProof: a proof that was recorded elsewhere has neither this connection's nonce nor its exporter.
func TestReplayedProof(t *testing.T) {
	honest := &signer{authority: newAuthority(t)}
	var recorded []byte
	honest.answer = func(w http.ResponseWriter, r *http.Request) {
		if recorded == nil {
			document, status := honest.prove(r)
			if status != http.StatusOK {
				t.Errorf("status %d", status)
			}
			recorded = document
		}
		w.Header().Set("Content-Type", atls.MediaType)
		w.Write(recorded) //nolint:errcheck // the client's affair
	}
	honest.start(t)
	for try, words := range []string{"", "not the one that was asked for"} {
		rt := transport(t, map[string]atls.Options{honest.address: honest.authority.perConnection()})
		err := send(t, rt, honest.address)
		if words == "" && err != nil || words != "" && (err == nil || !strings.Contains(err.Error(), words)) {
			t.Errorf("try %d: %v, want %q", try, err, words)
		}
	}
}

// TestDiversion: the same public image, run by a stranger with a configuration of his own, is the same in PCR0, 1, 2 and 8. What it was
// told, in PCR16 and in the digest that it claims, gives it away.
func TestDiversion(t *testing.T) {
	aws := newAuthority(t)
	run := func(name string, role, told attestation.PCR, digest [48]byte) *signer {
		pcrs := map[int]attestation.PCR{0: {1}, 1: {2}, 2: {3}, 3: role, 8: {6}, 16: told}
		s := &signer{authority: aws, server: server{
			payload: func(p *issuer.Payload) { p.PCRs = pcrs },
			binding: func(b *atls.Binding) { b.Config = digest },
		}}
		s.start(t)
		t.Logf("%-8s runs the image on %s: PCR0 %.4s…, PCR3 %.4s…, PCR16 %.4s…, configuration digest %.2x…", name, s.address, pcrs[0], role, told, digest[:1])
		return s
	}
	mine := run("operator", attestation.PCR{0xaa}, attestation.PCR{0x16}, [48]byte{0xd1})
	theirs := run("stranger", attestation.PCR{0xbb}, attestation.PCR{0x17}, [48]byte{0xd2})
	imageOnly := attestation.Measurements{0: {1}, 1: {2}, 2: {3}, 8: {6}}
	with := func(register int, value attestation.PCR) attestation.Measurements {
		return attestation.Measurements{0: {1}, 1: {2}, 2: {3}, 8: {6}, register: value}
	}
	for _, test := range []struct {
		name   string
		policy attestation.Policy
		words  string // of the refusal of the stranger's; empty: accepted
	}{
		{"the image alone", attestation.Policy{Sets: []attestation.Set{{PCRs: imageOnly}}}, ""},
		{"PCR16", attestation.Policy{Sets: []attestation.Set{{PCRs: with(16, attestation.PCR{0x16})}}}, "PCR16 is 17"},
		{"PCR3", attestation.Policy{Sets: []attestation.Set{{PCRs: with(3, attestation.PCR{0xaa})}}}, "PCR3 is bb"},
		{"config_digest", attestation.Policy{Sets: []attestation.Set{{PCRs: imageOnly}}, ConfigDigest: &[48]byte{0xd1}}, "configuration refused: its digest is d2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := aws.options()
			o.Policy = test.policy
			rt := transport(t, map[string]atls.Options{"127.0.0.1": o})
			if err := send(t, rt, mine.address); err != nil {
				t.Errorf("the operator's own: %v", err)
			}
			err := send(t, rt, theirs.address)
			if test.words == "" {
				if err != nil {
					t.Errorf("the attack does not work, so that refusing it proves nothing: %v", err)
				}
				t.Logf("policy names %s: the stranger's enclave is accepted, and the secret is theirs", test.name)
				return
			}
			if e, ok := errors.AsType[*atls.Error](err); !ok || e.Check != atls.CheckPolicy || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v, want %q", err, test.words)
			}
			t.Logf("policy names %s: %v", test.name, err)
		})
	}
}
