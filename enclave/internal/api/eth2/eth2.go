// Package eth2 answers the Web3Signer eth2 calls: signing, one key at a time or many, and the list of public keys.
package eth2

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// signer signs what was granted. Its errors are refusals of package problem; it is safe for concurrent use.
type signer interface {
	Sign(ctx context.Context, grant auth.Grant, req eth2.Request) (bls.Signature, error)
	// SignAll returns a signature or a refusal for each grant, in order, or an error for all of them.
	SignAll(ctx context.Context, grants []auth.Grant, req eth2.Request) (signatures []bls.Signature, refusals []error, err error)
}

// keys lists the keys that can sign now, in ascending order. The list is the caller's.
type keys interface {
	PublicKeys() []bls.PublicKey
}

// Deps are what the calls need. All but Canaries, Canary and HighWatermark are required.
type Deps struct {
	Network  *eth2.Network
	Signer   signer
	Keys     keys
	Canaries []bls.PublicKey          // keys that nobody should ever ask for
	Canary   func(bls.PublicKey) bool // says the same of others; nil of none
	// HighWatermark reads that of all keys; nil where nothing is recorded.
	HighWatermark func(ctx context.Context) (slashing.HighWatermark, error)
	// Missing returns why keys are not listed that will be; nil, or nothing, if all are there.
	Missing  func() error
	Log      *zap.Logger           // one line per signing request
	Registry prometheus.Registerer // gets containment_signing_…, containment_slashing_… and containment_canary_…
}

// API answers the calls.
type API struct {
	deps     Deps
	metrics  *metrics
	canaries map[bls.PublicKey]bool
}

// New makes the calls' handlers. It fails if their metrics are registered already.
func New(d Deps) (*API, error) {
	m, err := newMetrics(d.Registry)
	if err != nil {
		return nil, err
	}
	a := &API{deps: d, metrics: m, canaries: make(map[bls.PublicKey]bool, len(d.Canaries))}
	for _, key := range d.Canaries {
		a.canaries[key] = true
	}
	return a, nil
}

// Register adds the routes.
func (a *API) Register(mux api.Router) {
	mux.HandleFunc("POST "+signRoute, a.sign)
	mux.HandleFunc("GET /api/v1/eth2/publicKeys", a.publicKeys)
	mux.HandleFunc("GET /api/v1/eth2/highWatermark", a.highWatermark)
}

const signRoute = "/api/v1/eth2/sign/{identifier}"

// errPanic stands for the outcome until there is one.
var errPanic = errors.New("the request was not answered: panic")

// event is what the log and the metrics learn of a request. Fields stay zero as long as they are not known.
type event struct {
	key   bls.PublicKey
	kind  eth2.Kind
	began time.Time
	by    auth.Caller
	err   error
}

func (a *API) sign(w http.ResponseWriter, r *http.Request) {
	// The error stays if answer panics, so that no panic is counted as a signature.
	e := event{began: time.Now(), by: api.Caller(r), err: errPanic}
	defer func() { a.record(&e) }()
	var signature bls.Signature
	if signature, e.err = a.answer(r, &e); e.err != nil {
		api.WriteProblem(w, e.err)
		return
	}
	writeSignature(w, r, signature)
}

// answer reads the request wholly before it asks who the caller is, because a grant is for one key and one kind.
// Nothing is signed without the grant.
func (a *API) answer(r *http.Request, e *event) (bls.Signature, error) {
	var err error
	if e.key, err = bls.ParsePublicKey(r.PathValue("identifier")); err != nil {
		return bls.Signature{}, problem.New(problem.Malformed, "identifier: %s", err)
	}
	body, err := api.ReadBody(r)
	if err != nil {
		return bls.Signature{}, err
	}
	var req eth2.Request
	if e.kind, req, err = decode(a.deps.Network, body); err != nil {
		return bls.Signature{}, err
	}
	grant, err := e.by.Grant(e.key, e.kind)
	if err != nil {
		return bls.Signature{}, err
	}
	return a.deps.Signer.Sign(r.Context(), grant, req)
}

// writeSignature answers in JSON if the caller takes it and else, also if the caller says nothing, in plain text:
// some clients read only the one, some only the other.
func writeSignature(w http.ResponseWriter, r *http.Request, s bls.Signature) {
	contentType := "text/plain; charset=utf-8"
	body := make([]byte, 0, len(`{"signature":"0x"}`)+2*len(s))
	if takesJSON(r.Header.Values("Accept")) {
		contentType = "application/json; charset=utf-8"
		body = append(hex.AppendEncode(append(body, `{"signature":"0x`...), s[:]), `"}`...)
	} else {
		body = hex.AppendEncode(append(body, "0x"...), s[:])
	}
	write(w, contentType, body)
}

// write sends an answer before the request is logged and counted.
func write(w http.ResponseWriter, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) //nolint:gosec // G705: hexadecimal digits of our own and encoded JSON, never raw text of the caller's
	if f, ok := w.(http.Flusher); ok {
		f.Flush() // a caller that is gone asks again, and gets the same signatures
	}
}

// takesJSON reports whether any entry of the Accept headers is application/json or */*, whatever its weight.
func takesJSON(accept []string) bool {
	for _, line := range accept {
		for entry := range strings.SplitSeq(line, ",") {
			media, _, _ := strings.Cut(entry, ";")
			media = strings.TrimSpace(media)
			if media == "*/*" || strings.EqualFold(media, "application/json") {
				return true
			}
		}
	}
	return false
}

// publicKeys lists the keys that the caller may ask for, in ascending order.
func (a *API) publicKeys(w http.ResponseWriter, r *http.Request) {
	caller := api.Caller(r)
	if err := caller.May(auth.PublicKeys); err != nil {
		api.WriteProblem(w, err)
		return
	}
	if a.deps.Missing != nil {
		if err := a.deps.Missing(); err != nil { // a client that misses keys in the list gives them up
			api.WriteProblem(w, problem.Wrap(problem.Sealed, err, "the keys are sealed, or being loaded"))
			return
		}
	}
	list := a.deps.Keys.PublicKeys()
	const perKey = len(`"0x",`) + 2*len(bls.PublicKey{})
	body := make([]byte, 0, len("[]")+perKey*len(list))
	body = append(body, '[')
	for _, k := range list {
		if !caller.Sees(auth.PublicKeys, k) {
			continue
		}
		if len(body) > 1 {
			body = append(body, ',')
		}
		body = append(body, `"0x`...)
		body = append(hex.AppendEncode(body, k[:]), '"')
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(append(body, ']')) // a caller that is gone does not want it
}
