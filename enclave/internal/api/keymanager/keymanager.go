// Package keymanager answers the calls of the Ethereum Key Manager API about local keystores.
package keymanager

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Route is the path of all three calls
// (https://ethereum.github.io/keymanager-APIs/#/Local%20Key%20Manager).
const Route = "/eth/v1/keystores"

// Keys lists, adds and removes the keys that can sign. It may be called by more than one request at once.
type Keys interface {
	// Each calls f with each key, in ascending order: with its derivation path, "" if that is not known, and whether Remove refuses it.
	Each(f func(public bls.PublicKey, path string, readOnly bool))
	// Loaded says whether a key can sign now.
	Loaded(public bls.PublicKey) bool
	// Import opens EIP-2335 keystores until ctx ends, has choose say which of the keys to add, and adds them. There are as many passwords,
	// which are wiped. choose is called once, with a public key for each keystore or why it was not opened; with its error, which is returned,
	// nothing is added. tell is called with each chosen one: whether it was there before, what else is to be said of it, or why it was not added.
	Import(
		ctx context.Context, keystores, passwords [][]byte,
		choose func(publics []bls.PublicKey, faults []error) (chosen []bool, err error),
		tell func(n int, duplicate bool, note string, err error),
	) error
	// Remove removes a key, and says whether there was one. Once it returns, this process makes no signature with the key, also none that was
	// under way; only if there is an error the key may still sign.
	Remove(ctx context.Context, public bls.PublicKey) (removed bool, err error)
}

// Options are what the calls work on. All but Ledger, Missing and Settle must be set.
type Options struct {
	Keys    Keys
	Network *eth2.Network
	// Ledger is the slashing record; nil with anti_slashing.backend noop, which keeps none.
	Ledger slashing.Ledger
	// Check returns why the slashing record cannot be believed or written now.
	Check func(ctx context.Context) error
	// KnownOnly says that a key signs no vote before there is a record of it.
	KnownOnly bool
	// Missing returns why keys are not loaded that will be; nil, or nothing, if all are there.
	Missing func() error
	// Settle is how long others who have the same keys may take to follow a deletion, before the record is read; zero if there are none.
	Settle time.Duration

	MaxReads  int           // lists and deletions at once
	MaxWrites int           // imports at once
	MaxItems  int           // of a request
	Timeout   time.Duration // of a request; what has begun is brought to its end
	Log       *zap.Logger
}

// API answers the calls. Each is one line of the log.
type API struct {
	o             Options
	reads, writes places
	turn          chan struct{} // holds one element while keys are added or removed: a key that is deleted stays away until its record was read
}

// New makes the calls' handlers.
func New(o Options) *API {
	return &API{o: o, reads: make(places, o.MaxReads), writes: make(places, o.MaxWrites), turn: make(chan struct{}, 1)}
}

// Register adds the routes.
func (a *API) Register(mux api.Router) {
	mux.HandleFunc("GET "+Route, a.recorded(a.list))
	mux.HandleFunc("POST "+Route, a.recorded(a.importKeystores))
	mux.HandleFunc("DELETE "+Route, a.recorded(a.deleteKeys))
}

// Limits of what follows when the time of a request is over: what was begun is brought to its end.
const (
	// recordLimit bounds the wait for other requests, and reading or writing the slashing record.
	recordLimit = 20 * time.Second
	// slowest is what one keystore may take beyond the time of its request, and storing the keys.
	slowest = time.Minute
)

// patient gives a request the time that it may take: the server's own is that of a duty.
func (a *API) patient(w http.ResponseWriter) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // the body is here; the end of its time would end the context. Some writers have no deadlines.
	_ = c.SetWriteDeadline(time.Now().Add(a.o.Timeout + a.o.Settle + recordLimit + slowest))
}

// detached is a context for what is brought to its end whether or not the caller is still there.
func detached(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// alone waits for the turn to add or remove keys. leave gives it back.
func (a *API) alone(ctx context.Context) (leave func(), err error) {
	select {
	case a.turn <- struct{}{}:
		return func() { <-a.turn }, nil
	case <-ctx.Done():
		return nil, problem.Wrap(problem.Overloaded, ctx.Err(), "other requests to add or remove keys took too long; nothing was done")
	}
}

// ready refuses everything while keys are missing: a short list would be taken for the whole.
func (a *API) ready() error {
	if a.o.Missing == nil {
		return nil
	}
	if err := a.o.Missing(); err != nil {
		return problem.Wrap(problem.Sealed, err, "the signer is sealed, or its keys are being loaded")
	}
	return nil
}

// places are taken or refused.
type places chan struct{}

// take takes a place, or refuses; leave gives it back.
func (p places) take(what string) (leave func(), err error) {
	select {
	case p <- struct{}{}:
		return func() { <-p }, nil
	default:
		return nil, problem.New(problem.Overloaded, "%d %s are under way already", cap(p), what)
	}
}
