package main

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// TestAttestExitCodes: scripts go by them.
func TestAttestExitCodes(t *testing.T) {
	e := newEnclave(t)
	document := e.write("d.cose", e.document(e.binding(), nil))
	good, empty := e.policy("good.yaml"), e.write("empty", nil)
	e.pcrs[0] = [48]byte{9}
	other := e.policy("other.yaml")
	root := "--attestation-root " + e.rootFile
	for _, test := range []struct {
		args  string
		code  int
		words string // on standard error
	}{
		{"attest", exitOK, ""},
		{"attest trust", exitOK, ""},
		{"eif", exitOK, ""},
		{"operator", exitOK, ""},
		{"attest verify " + document + " " + root + " --policy " + good, exitOK, "warning: whoever holds the key"},
		{"attest verify " + document + " " + root + " --policy " + other, exitFailure, "refused: "},
		{"attest verify " + document, exitFailure, "AWS did not sign it"},
		{"attest verify " + empty, exitFailure, "empty"},
		{"attest verify " + e.dir + "/none", exitUsage, "no such file"},
		{"attest verify " + e.dir, exitUsage, "is a directory"},
		{"attest verify " + document + " --policy " + document, exitUsage, "d.cose: not valid UTF-8"},
		{"attest verify " + document + " --policy " + empty, exitUsage, "empty: empty"},
		{"attest verify " + document + " --at now", exitUsage, "--at"},
		{"attest verify " + document + " --nonce 0", exitUsage, "--nonce"},
		{"attest verify " + document + " extra", exitUsage, "accepts 1 arg"},
		{"attest describe " + document, exitOK, ""},
		{"attest describe " + empty, exitFailure, "empty"},
		{"attest describe", exitUsage, "accepts 1 arg"},
		{"attest fetch http://127.0.0.1:1", exitFailure, "dial tcp"},
		{"attest fetch nowhere", exitUsage, "URL: want"},
		{"attest fetch https://x/?a=b", exitUsage, "URL: want nothing after the path"},
		{"attest policy", exitUsage, "want one of"},
		{"attest policy --from-eif " + document, exitFailure, "d.cose: "},
		{"attest policy --from-nitro-cli " + document, exitUsage, "not the JSON of nitro-cli"},
		{"attest trust list --trust-file " + e.trustFile, exitOK, ""},
		{"attest trust forget a:1 --trust-file " + e.trustFile, exitFailure, "nothing is remembered"},
		{"attest trust forget a --trust-file " + e.trustFile, exitUsage, "want host:port"},
		{"attest trust replace https://127.0.0.1:1 --trust-file " + e.trustFile, exitFailure, "dial tcp"},
		{"attest trust replace", exitUsage, "accepts 1 arg"},
		{"attest bogus", exitUsage, "unknown command"},
		{"eif measure " + document, exitFailure, "d.cose: "},
		{"eif measure " + e.dir, exitUsage, "is no regular file"},
		{"eif describe", exitUsage, "accepts 1 arg"},
		{"operator status", exitUsage, "--signer-url is needed"},
		{"operator status --signer-url https://127.0.0.1:1 --trust-file " + e.trustFile, exitFailure, "no answer of the signer"},
	} {
		code, _, errs := command(t, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(errs, test.words) || (test.words == "") != (errs == "") {
			t.Errorf("%q: exit code %d, said %q; want %d and %q", test.args, code, errs, test.code, test.words)
		}
	}
}

// TestVerifyCertificate: a document counts for the key that it speaks of, and for its purpose.
func TestVerifyCertificate(t *testing.T) {
	e := newEnclave(t)
	stranger := newEnclave(t)
	extension := func(b atls.Binding) pkix.Extension { return atls.Extension(e.document(b, nil)) }
	good := extension(e.binding())
	proof := e.binding()
	proof.Purpose, proof.Exporter = atls.PurposeProof, [32]byte{1}
	bare, err := asn1.Marshal(1)
	e.check(err)
	inPEM := func(der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	for name, test := range map[string]struct {
		text []byte
		want string // "" is verified
	}{
		"good in DER":      {e.certificate(time.Hour, good), ""},
		"good in PEM":      {inPEM(e.certificate(time.Hour, good)), ""},
		"as a tool prints": {append([]byte("CONNECTED\n0 s:CN\n"), inPEM(e.certificate(time.Hour, good))...), ""},
		"another follows":  {append(inPEM(e.certificate(time.Hour, good)), inPEM(stranger.certificate(time.Hour))...), ""},
		"another's key":    {stranger.certificate(time.Hour, good), "the document speaks of another key than the certificate's"},
		"a proof":          {e.certificate(time.Hour, extension(proof)), `the document is for purpose "proof", and stands in a certificate`},
		"expired":          {e.certificate(-time.Second, good), "the certificate is valid from"},
		"no extension":     {e.certificate(time.Hour), "the certificate holds no attestation document"},
		"no octet string":  {e.certificate(time.Hour, pkix.Extension{Id: atls.OID(), Value: bare}), "the attestation extension is not one DER OCTET STRING"},
		"trailing bytes":   {e.certificate(time.Hour, pkix.Extension{Id: atls.OID(), Value: append(good.Value[:len(good.Value):len(good.Value)], 0)}), "is not one DER OCTET STRING"},
		"cut off":          {e.certificate(time.Hour, good)[:1000], "x509: "},
		"PEM cut off":      {inPEM(e.certificate(time.Hour, good))[:1000], "malformed PEM"},
		"too large":        {make([]byte, maxEvidence+1), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := command(t, "attest", "verify", e.write("c", test.text), "--attestation-root", e.rootFile, "--policy", e.policy("p.yaml"), "--json")
			var got struct{ Verified bool }
			err := json.Unmarshal([]byte(out), &got)
			if err != nil || got.Verified != (test.want == "") || (code == exitOK) != got.Verified || !strings.Contains(errs, test.want) {
				t.Errorf("exit code %d, %s %s, %v; want %q", code, out, errs, err, test.want)
			}
		})
	}
}

// TestVerifyClaims: what the program says of itself is held to the policy.
func TestVerifyClaims(t *testing.T) {
	e := newEnclave(t)
	document := e.write("d.cose", e.document(e.binding(), []byte{7, 8}))
	digest := "config_digest: c0" + strings.Repeat("00", 47)
	for name, test := range map[string]struct {
		policy string
		flags  []string
		want   string // "" is verified
	}{
		"the same digest": {e.policy("a.yaml", digest), nil, ""},
		"another digest":  {e.policy("b.yaml", "config_digest: c1"+strings.Repeat("00", 47)), nil, "configuration"},
		"old enough":      {e.policy("c.yaml", "max_age_seconds: 60"), []string{"--at", e.now.Add(2 * time.Minute).Format(time.RFC3339)}, "freshness"},
		"nonce":           {e.policy("d.yaml"), []string{"--nonce", "0708"}, ""},
		"another nonce":   {e.policy("e.yaml"), []string{"--nonce", "0709"}, "freshness"},
		"long after":      {e.policy("f.yaml"), []string{"--at", e.now.Add(4 * time.Hour).Format(time.RFC3339)}, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := command(t, append([]string{"attest", "verify", document, "--attestation-root", e.rootFile, "--policy", test.policy}, test.flags...)...)
			if (code == exitOK) != (test.want == "") || !strings.Contains(errs, test.want) {
				t.Errorf("exit code %d, %s, want %q", code, errs, test.want)
			}
		})
	}
}

// TestFetchedProofs: a proof is for this connection, this key, this nonce and this purpose, and nothing is written of another.
func TestFetchedProofs(t *testing.T) {
	e := newEnclave(t)
	policy := e.policy("p.yaml")
	for name, test := range map[string]struct {
		lie  func(b *atls.Binding, nonce []byte) []byte
		want string
	}{
		"true":               {nil, ""},
		"relayed":            {func(b *atls.Binding, n []byte) []byte { b.Exporter = [32]byte{1}; return n }, "refused: proof: the document speaks of another connection than this one: somebody stands between"},
		"of another key":     {func(b *atls.Binding, n []byte) []byte { b.SPKI = [32]byte{1}; return n }, "refused: proof: the document speaks of another key than the certificate's"},
		"replayed":           {func(_ *atls.Binding, _ []byte) []byte { return make([]byte, 32) }, "refused: proof: attestation document refused, freshness: nonce"},
		"of the certificate": {func(b *atls.Binding, n []byte) []byte { *b = e.binding(); return n }, `refused: proof: the document is for purpose "certificate", want "proof"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := e.serve(e.proofs(test.lie))
			path := filepath.Join(t.TempDir(), "proof.cose")
			code, _, errs := command(t, "attest", "fetch", s.URL, "--proof", "--attestation-root", e.rootFile, "--policy", policy, "-o", path)
			_, missing := os.Stat(path)
			if (code == exitOK) != (test.want == "") || !strings.Contains(errs, test.want) || (missing == nil) != (code == exitOK) {
				t.Errorf("exit code %d, %s, file %v; want %q", code, errs, missing, test.want)
			}
		})
	}
}

// TestFetchRefuses what is no document.
func TestFetchRefuses(t *testing.T) {
	answer := func(code int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "/upcheck")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	e := newEnclave(t)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"no such route": {answer(404, "text/plain", ""), "status 404: this signer is not attested, or it is no signer"},
		"busy":          {answer(503, "application/json", `{"message":"too many"}`), `status 503: "{\"message\":\"too many\"}"`},
		"redirect":      {answer(307, "text/html", "there"), `status 307: "there"`},
		"a page":        {answer(200, "text/html", "<html>"), `type "text/html", want application/cose`},
		"no type":       {answer(200, "", "x"), `type "", want application/cose`},
		"too large":     {answer(200, atls.MediaType, strings.Repeat("x", 1<<20)), "too many for a document"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := command(t, "attest", "fetch", e.serve(test.answer).URL)
			if code != exitFailure || out != "" || !strings.Contains(errs, test.want) {
				t.Errorf("exit code %d, %q, %s; want %q", code, out, errs, test.want)
			}
		})
	}
}
