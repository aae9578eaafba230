// Package wellknown answers who this enclave is: with the document of its certificate, or with a proof for one connection.
package wellknown

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// Bounds of proofs, beside those of their rate. Each is one call of the security module. What lets the certificate be renewed under any
// flood of them is that one is made at a time.
const (
	perConnection = 2 // a client needs one; a source that has more connections pays for a handshake each
	attestLimit   = 5 * time.Second
)

// Options say what a proof speaks of. All are required.
type Options struct {
	// Attest has the security module sign a document.
	Attest       func(ctx context.Context, userData, nonce []byte) ([]byte, error)
	Current      func() (document []byte, notAfter time.Time) // of the certificate in service; nil without one
	ConfigDigest [48]byte                                     // of the measured configuration
	Build        string                                       // version of this program
	Registry     prometheus.Registerer                        // gets containment_attestation_proofs_total
}

// API answers the call.
type API struct {
	o       Options
	now     func() time.Time // of the monotonic clock
	sources *sources
	busy    chan struct{} // holds one element while a proof is made
	proofs  *prometheus.CounterVec
}

// New makes the call's handler.
func New(o Options) (*API, error) {
	a := &API{o: o, now: time.Now, sources: newSources(time.Now()), busy: make(chan struct{}, 1)}
	a.proofs = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "containment_attestation_proofs_total",
		Help: "Proofs of single connections that were asked for, by result: made, limited, failed.",
	}, []string{"result"})
	return a, o.Registry.Register(a.proofs)
}

// Register adds the route.
func (a *API) Register(mux api.Router) { mux.HandleFunc("GET "+atls.WellKnownPath, a.answer) }

// RegisterCurrent adds the route for a listener in clear, which has the document of the certificate and no proofs.
func (a *API) RegisterCurrent(mux api.Router) { mux.HandleFunc("GET "+atls.WellKnownPath, a.current) }

func (a *API) answer(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if !query.Has("nonce") {
		a.current(w, r)
		return
	}
	document, err := a.prove(r, query["nonce"])
	if err != nil {
		api.WriteProblem(w, err)
		return
	}
	write(w, document)
}

// current answers with the document in the certificate in service.
func (a *API) current(w http.ResponseWriter, r *http.Request) {
	if len(r.URL.Query()) > 0 {
		api.WriteProblem(w, problem.New(problem.Malformed, "a proof with a nonce is for connections of TLS alone; there are no other parameters"))
		return
	}
	document, notAfter := a.o.Current()
	if document == nil || !time.Now().Before(notAfter) {
		api.WriteProblem(w, problem.New(problem.Overloaded, "there is no valid attestation certificate at present"))
		return
	}
	write(w, document)
}

// prove has the device speak of the connection that a request came on.
func (a *API) prove(r *http.Request, given []string) ([]byte, error) {
	leaf := api.Presented(r.Context())
	exporter, err := atls.Exporter(r.TLS)
	if leaf == nil || err != nil {
		return nil, problem.Wrap(problem.Malformed, errors.Join(err), "a proof is for a connection of attested TLS")
	}
	nonce, err := parseNonce(given)
	if err != nil {
		return nil, problem.Wrap(problem.Malformed, err, "nonce: want 64 lower case hexadecimal digits, once")
	}
	userData, err := atls.Binding{
		Purpose: atls.PurposeProof, SPKI: sha256.Sum256(leaf.RawSubjectPublicKeyInfo),
		Config: a.o.ConfigDigest, Build: a.o.Build, Exporter: exporter,
	}.Marshal()
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "the proof could not be made")
	}
	return a.attest(r.Context(), sourceOf(r.RemoteAddr), userData, nonce)
}

func parseNonce(given []string) ([]byte, error) {
	if len(given) != 1 || len(given[0]) != 2*atls.NonceSize {
		return nil, errors.New("not one text of the right length")
	}
	nonce, err := hex.DecodeString(given[0])
	if err == nil && hex.EncodeToString(nonce) != given[0] {
		err = errors.New("not in lower case")
	}
	return nonce, err
}

// attest takes its turn at the device: one proof at a time, and not too many of a connection, of a source, and in all.
func (a *API) attest(caller context.Context, source netip.Prefix, userData, nonce []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(caller, attestLimit)
	defer cancel()
	if api.CountProof(ctx) > perConnection || !a.sources.take(source, a.now()) {
		a.proofs.WithLabelValues("limited").Inc()
		return nil, problem.New(problem.Overloaded, "too many proofs were asked for; a connection needs one")
	}
	select {
	case a.busy <- struct{}{}:
		defer func() { <-a.busy }()
	case <-ctx.Done():
		a.proofs.WithLabelValues("limited").Inc()
		return nil, problem.Wrap(problem.Overloaded, ctx.Err(), "too many proofs were asked for at once")
	}
	document, err := a.o.Attest(ctx, userData, nonce)
	switch {
	case err != nil && caller.Err() != nil: // who hung up says nothing about the device
		a.proofs.WithLabelValues("limited").Inc()
		return nil, problem.Wrap(problem.Overloaded, err, "the caller did not wait for the proof")
	case err != nil:
		a.proofs.WithLabelValues("failed").Inc()
		return nil, problem.Wrap(problem.Overloaded, err, "the security module made no proof")
	}
	a.proofs.WithLabelValues("made").Inc()
	return document, nil
}

func write(w http.ResponseWriter, document []byte) {
	h := w.Header()
	h.Set("Content-Type", atls.MediaType)
	h.Set("Content-Length", strconv.Itoa(len(document)))
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(document) //nolint:gosec // a signed document of no type that a browser shows; a caller that is gone does not want it
}
