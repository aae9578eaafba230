// Package stored keeps the keystore current with the validator keys in a table, which are sealed by the chamber.
package stored

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

var (
	// ErrSealed is returned by what needs the keys while they are not loaded: before the first Load, and after Drop.
	ErrSealed = errors.New("stored keys are sealed")
	// ErrRolledBack is the reason of a refused item that is older than what this process has seen of its key, or contradicts it.
	ErrRolledBack = errors.New("the stored key went back")
)

// Sealer seals items for the chamber, with AES-256-GCM bound to the chamber's identity, the role, the name and the version: what was sealed
// with other ones does not open. It is safe for concurrent use.
type Sealer interface {
	// Seal seals with the master key of now. The plaintext stays the caller's.
	Seal(role, name string, version uint64, plaintext []byte) ([]byte, error)
	// Open opens what Seal has sealed with the same role, name and version. The caller wipes what it gets.
	Open(role, name string, version uint64, blob []byte) (secret.Bytes, error)
	// Current says whether a blob is sealed with the master key of now, and not with one that is being replaced.
	Current(blob []byte) bool
}

// Options are what a Source is made of. All must be set but Statuses, RefreshInterval and Failures, and Overhead for List.
type Options struct {
	Keys     store.Keys
	Sealer   Sealer
	Keystore *keystore.Keystore
	// Overhead is how many bytes longer than its plaintext a sealed item is.
	Overhead int
	// Closed says of an error of the Sealer that it is about the chamber, which is sealed or does not know its state, and not about the item.
	Closed func(error) bool
	// Statuses are those of the keys that are loaded: active, inactive or both. None loads none.
	Statuses []store.Status
	// RefreshInterval is how often the table is asked for changes. Zero asks at Load only.
	RefreshInterval time.Duration
	// Readers is how many requests are sent to the table at once, at least 1.
	Readers int
	Log     *zap.Logger
	// Failures counts the keys that cannot be loaded, each when it is found; nil counts nowhere.
	Failures prometheus.Counter
	Registry prometheus.Registerer
}

// Source brings stored keys into the keystore, between Load and Drop, and changes what is stored. It is safe for concurrent use.
type Source struct {
	o       Options
	metrics *metrics

	dropping sync.Mutex // held for a whole Drop
	work     sync.Mutex // held for a whole change of the source's keys in the keystore

	mu     sync.Mutex // held while the fields below are used, and never while something is waited for
	open   bool       // between Load and Drop
	loaded bool       // a Load has ended well since then: cursor is valid
	again  bool       // a Load was asked for, and none has ended well since
	cursor store.Cursor
	cancel context.CancelFunc // ends what is under way under work
	book   book
	health health
}

// New makes a source that has loaded nothing. Its errors are those of Options.
func New(o Options) (*Source, error) {
	if o.Keys == nil || o.Sealer == nil || o.Keystore == nil || o.Closed == nil || o.Log == nil || o.Registry == nil {
		return nil, errors.New("stored keys: Keys, Sealer, Keystore, Closed, Log and Registry must be set")
	}
	if o.Readers < 1 || o.RefreshInterval < 0 {
		return nil, errors.New("stored keys: Readers must be at least 1, and RefreshInterval not below 0")
	}
	if err := store.CheckStatuses(o.Statuses); err != nil {
		return nil, fmt.Errorf("stored keys: %w", err)
	}
	if o.Failures == nil {
		o.Failures = prometheus.NewCounter(prometheus.CounterOpts{Name: "uncounted"})
	}
	s := &Source{o: o, book: newBook()}
	var err error
	s.metrics, err = newMetrics(o.Registry, s.Status)
	return s, err
}

// retryInterval is how often a Load that failed is tried again if no interval is set.
const retryInterval = 5 * time.Second

// Run follows the changes of the table while the source is loaded, and tries again what failed, until ctx ends. It leaves the keys that
// are loaded.
func (s *Source) Run(ctx context.Context) error {
	interval := s.o.RefreshInterval
	if interval == 0 {
		interval = retryInterval
	}
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
			_ = s.read(ctx, s.refresh) // the health has the error
		}
	}
}

// Load loads all keys: to be called when the chamber is unsealed. Run tries again if it fails. While the source is loaded it looks at all
// items again, and opens those that are not in use: to be called when the chamber has another master key, which may open what no key did.
func (s *Source) Load(ctx context.Context) error {
	s.dropping.Lock()
	s.mu.Lock()
	s.open, s.again = true, true
	s.mu.Unlock()
	s.dropping.Unlock()
	return s.read(ctx, s.reload)
}

// Drop ends what is under way and wipes the source's keys, once signatures under way are done: to be called when the chamber is sealed.
// What was seen of the keys is remembered.
func (s *Source) Drop() {
	s.dropping.Lock()
	defer s.dropping.Unlock()
	s.mu.Lock()
	s.open, s.loaded = false, false
	if s.cancel != nil {
		s.cancel()
	}
	s.mu.Unlock()

	s.work.Lock()
	defer s.work.Unlock()
	change := s.o.Keystore.Replace(keystore.Stored, nil)
	s.mu.Lock()
	s.book.forget()
	s.health = health{}
	s.mu.Unlock()
	s.o.Log.Info("stored keys dropped", zap.Int("keys", len(change.Removed)))
}

// during calls f unless the source is dropped, alone, and with a context that Drop ends.
func (s *Source) during(ctx context.Context, f func(ctx context.Context) error) error {
	s.work.Lock()
	defer s.work.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	open := s.open
	s.cancel = cancel
	s.mu.Unlock()
	if !open {
		return ErrSealed
	}
	err := f(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = nil
	if !s.open {
		return ErrSealed // whatever came of it is wiped by Drop, which waits
	}
	return err
}

// read calls f as during does, and tells the health how it went, unless the caller went away.
func (s *Source) read(ctx context.Context, f func(ctx context.Context) error) error {
	err := s.during(ctx, f)
	if ctx.Err() == nil && !errors.Is(err, ErrSealed) {
		s.report(err)
	}
	return err
}

// wanted says whether keys of a status belong into the keystore.
func (s *Source) wanted(status store.Status) bool { return slices.Contains(s.o.Statuses, status) }
