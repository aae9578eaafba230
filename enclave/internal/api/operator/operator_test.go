package operator_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/health"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

var started = time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)

// enclave issues documents under a root of its own.
type enclave struct {
	t     *testing.T
	root  *issuer.Root
	begun time.Time
}

func newEnclave(t *testing.T) *enclave {
	t.Helper()
	now := time.Now()
	root, err := issuer.NewRoot(now)
	if err != nil {
		t.Fatal(err)
	}
	return &enclave{t: t, root: root, begun: now}
}

func (e *enclave) document(p issuer.Payload) []byte {
	e.t.Helper()
	i, err := issuer.NewIssuer(e.root, "i-0123456789abcdef0-enc0123456789abcdef", "local-dev-1", e.begun)
	if err != nil {
		e.t.Fatal(err)
	}
	raw, err := i.Issue(p, e.begun)
	if err != nil {
		e.t.Fatal(err)
	}
	return raw
}

func bound(t *testing.T) []byte {
	t.Helper()
	out, err := atls.Binding{Purpose: atls.PurposeCertificate, SPKI: [32]byte{1}, Config: [48]byte{0xc0}, Build: "0.1.0"}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ask makes one request of a signer with these options.
func ask(t *testing.T, o operator.Options, target string) *httptest.ResponseRecorder {
	t.Helper()
	o.Build, o.Platform, o.Network, o.Started = "0.1.0", "simulated", "hoodi", started
	if o.Keys == nil {
		o.Keys = func() map[string]int { return map[string]int{"filesystem": 3, "memory": 1} }
	}
	mux := http.NewServeMux()
	operator.New(o).Register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, api.WithCaller(httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody), authtest.With(auth.ChamberStatus)))
	return w
}

func status(t *testing.T, o operator.Options) (s operator.Status) {
	t.Helper()
	w := ask(t, o, operator.RouteStatus)
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return s
}

func check(id string, data map[string]any, err error) health.Check {
	return health.Check{ID: id, Probe: func(context.Context) (map[string]any, error) { return data, err }}
}

func TestStatusWithoutAttestation(t *testing.T) {
	w := ask(t, operator.Options{Checks: []health.Check{check("keys", map[string]any{"keys-loaded": 4}, nil)}}, operator.RouteStatus)
	const want = `{"seal":{"status":"not_applicable","reason":"nothing is sealed: all keys come from files, and can sign from the start"},` +
		`"healthy":true,"build":"0.1.0","platform":"simulated","network":"hoodi","started":"2026-03-01T12:00:00Z","attestation":null,` +
		`"keys":{"total":4,"sources":{"filesystem":3,"memory":1}},"checks":[{"id":"keys","up":true,"data":{"keys-loaded":4}}]}` + "\n"
	if diff := cmp.Diff(want, w.Body.String()); diff != "" || w.Header().Get("Cache-Control") != "no-store" {
		t.Error(diff, w.Header())
	}
}

func TestStatusTellsWhatIsDown(t *testing.T) {
	s := status(t, operator.Options{Checks: []health.Check{
		check("keys", nil, nil), check("slashing-protection", map[string]any{"backend": "sqlite"}, errors.New("disk full")),
	}})
	want := []operator.Check{{ID: "keys", Up: true}, {ID: "slashing-protection", Reason: "disk full", Data: map[string]any{"backend": "sqlite"}}}
	if diff := cmp.Diff(want, s.Checks); diff != "" || s.Healthy {
		t.Error(diff, s.Healthy)
	}
}

// TestStatusDoesNotWaitForAHangingPart: it has a deadline, which its probe is told of.
func TestStatusDoesNotWaitForAHangingPart(t *testing.T) {
	s := status(t, operator.Options{Checks: []health.Check{{ID: "slow", Probe: func(ctx context.Context) (map[string]any, error) {
		if _, ok := ctx.Deadline(); !ok {
			return nil, nil
		}
		return nil, context.DeadlineExceeded
	}}}})
	if s.Healthy || s.Checks[0].Reason != context.DeadlineExceeded.Error() {
		t.Errorf("%+v", s.Checks)
	}
}

func TestStatusOfAnEnclave(t *testing.T) {
	e := newEnclave(t)
	raw := e.document(issuer.Payload{
		PCRs: map[int]attestation.PCR{0: {1}, 1: {2}, 2: {3}, 3: {}, 4: {4}, 16: {5}}, UserData: bound(t),
	})
	end := e.begun.Add(time.Hour).UTC().Truncate(time.Second)
	got := status(t, operator.Options{Roots: []*x509.Certificate{e.root.Certificate}, Current: func() ([]byte, time.Time) { return raw, end }}).Attestation
	doc, err := attestation.Verify(raw, attestation.Options{Roots: []*x509.Certificate{e.root.Certificate}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Age < 0 || got.Age > 60 {
		t.Errorf("age %d s", got.Age)
	}
	want := &operator.Attestation{
		ModuleID: doc.ModuleID, Issued: doc.Timestamp, Age: got.Age, NotAfter: doc.NotAfter.UTC(), CertificateNotAfter: end,
		PCRs: map[string]string{
			"PCR0": attestation.PCR{1}.String(), "PCR1": attestation.PCR{2}.String(), "PCR2": attestation.PCR{3}.String(),
			"PCR3": attestation.PCR{}.String(), "PCR16": attestation.PCR{5}.String(),
		},
		ConfigDigest: "c0" + strings.Repeat("00", 47),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestStatusOfABadDocument: what is wrong is told, and nothing that was not verified.
func TestStatusOfABadDocument(t *testing.T) {
	e := newEnclave(t)
	roots := []*x509.Certificate{e.root.Certificate}
	pcrs := map[int]attestation.PCR{0: {1}, 1: {2}, 2: {3}}
	good := e.document(issuer.Payload{PCRs: pcrs, UserData: bound(t)})
	later := time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		raw   []byte
		end   time.Time
		roots []*x509.Certificate
		want  string
		debug bool
	}{
		"none yet":     {nil, time.Time{}, roots, "no certificate has been issued yet", false},
		"another root": {good, later, nil, "chain", false},
		"no document":  {[]byte("x"), later, roots, "decoding", false},
		"no binding":   {e.document(issuer.Payload{PCRs: pcrs}), later, roots, "binding", false},
		"expired":      {good, time.Now(), roots, "the certificate has expired", false},
		"debug mode":   {e.document(issuer.Payload{PCRs: map[int]attestation.PCR{0: {}, 1: {}, 2: {}}, UserData: bound(t)}), later, roots, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got := status(t, operator.Options{Roots: test.roots, Current: func() ([]byte, time.Time) { return test.raw, test.end }}).Attestation
			if !strings.Contains(got.Error, test.want) || (test.want == "") != (got.Error == "") || got.Debug != test.debug {
				t.Errorf("%+v, want %q", got, test.want)
			}
		})
	}
}

func TestStatusTakesNoParameters(t *testing.T) {
	if w := ask(t, operator.Options{}, operator.RouteStatus+"?x=1"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "there are no parameters") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
