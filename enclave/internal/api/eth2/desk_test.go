package eth2

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// desk is an API with the rooms behind it replaced by what a test wants them to answer.
type desk struct {
	caller  auth.Caller
	signErr error
	panics  bool // in Sign
	list    []bls.PublicKey

	signed   []eth2.Request
	grants   []auth.Grant
	lines    *observer.ObservedLogs
	registry *prometheus.Registry
	mux      http.Handler
}

func (d *desk) Sign(_ context.Context, g auth.Grant, req eth2.Request) (bls.Signature, error) {
	d.grants, d.signed = append(d.grants, g), append(d.signed, req)
	if d.panics {
		panic("nil pointer")
	}
	if d.signErr != nil {
		return bls.Signature{}, d.signErr
	}
	return bls.Signature{0xb3, 95: 0x01}, nil
}

// SignAll refuses the key 0xb0…, and signs with all others.
func (d *desk) SignAll(ctx context.Context, grants []auth.Grant, req eth2.Request) (signatures []bls.Signature, refusals []error, err error) {
	if d.signErr != nil {
		return nil, nil, d.signErr
	}
	signatures, refusals = make([]bls.Signature, len(grants)), make([]error, len(grants))
	for i, g := range grants {
		if g.Key()[0] == 0xb0 {
			refusals[i] = problem.Wrap(problem.Slashable, errors.New("10.0.0.7"), "surrounds \"it\"")
			continue
		}
		signatures[i], refusals[i] = d.Sign(ctx, g, req)
	}
	return signatures, refusals, nil
}

func (d *desk) PublicKeys() []bls.PublicKey { return d.list }

func newDesk(t *testing.T) *desk {
	t.Helper()
	core, lines := observer.New(zapcore.DebugLevel)
	d := &desk{caller: authtest.Open(), lines: lines, registry: prometheus.NewRegistry()}
	a, err := New(Deps{
		Network: hoodi(t), Signer: d, Keys: d, Canaries: []bls.PublicKey{{0xca}}, Log: zap.New(core), Registry: d.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	a.Register(mux)
	a.RegisterBatch(mux)
	d.mux = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(w, api.WithCaller(r, d.caller)) })
	return d
}

func (d *desk) post(t *testing.T, identifier, body string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/eth2/sign/"+identifier, strings.NewReader(body))
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, r)
	return w
}

// counts are the registry's counters and the number of observations of its histograms, by name and labels.
func (d *desk) counts(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := d.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			counts[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return counts
}

func checkRefused(t *testing.T, w *httptest.ResponseRecorder, code int, want string) {
	t.Helper()
	var got struct {
		Code           int
		Message, Error string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v in %q", err, w.Body)
	}
	if w.Code != code || got.Code != code {
		t.Errorf("status %d and code %d, want %d", w.Code, got.Code, code)
	}
	if !strings.Contains(got.Message, want) || got.Message != got.Error {
		t.Errorf("message %q and error %q, want both with %q", got.Message, got.Error, want)
	}
}
