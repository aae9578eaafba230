// Package chamber keeps the master key, and says whether it may be used.
//
// All of its own state is one item of the signer state, the manifest, which is replaced by compare-and-swap: a transition is one write, so
// none is ever half done. What is larger stands in items of its own that never change; they are written before the manifest that names
// them with their hash, and removed after it does not. The manifest is authenticated under a key from the master key, but for those who
// have not rebuilt that yet: its shares are read first, and everything is checked as soon as the key is there.
//
// Whoever can write the signer state can delete it, and can put back what stood there once. A process notices: it keeps the last good state
// and says that it is not ready. One that starts with an old but whole state does not: no store that the host reaches can tell it.
package chamber

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// KMS is what the chamber asks of AWS KMS. [kms.Client] says what each call means; calls end with their context. The caller wipes what it
// was given.
type KMS interface {
	Attested() bool
	Decrypt(ctx context.Context, key kms.ARN, ciphertext []byte, encryptionContext map[string]string) (secret.Bytes, error)
	GenerateDataKey(ctx context.Context, key kms.ARN, encryptionContext map[string]string) (plaintext secret.Bytes, sealed []byte, err error)
	Encrypt(ctx context.Context, key kms.ARN, plaintext secret.Bytes, encryptionContext map[string]string) ([]byte, error)
}

// Options are what a Chamber is made of. State, KMS, AllowedKeys, Log and Registry must be set.
type Options struct {
	State store.State
	KMS   KMS
	// AllowedKeys are the ARNs of the KMS keys that may hold a share. Others are not asked, whatever the signer state says.
	AllowedKeys []string
	// Threshold is the only one that Init and RotateKMS take; zero takes any. A stored chamber with less is taken only if PinnedID is set.
	Threshold int
	// PinnedID is the chamber that the configuration names, "" if none: then whoever fills an empty signer state decides which one it is.
	PinnedID string
	// ConfigDigest is the SHA-384 of the measured configuration in hex, "" if nothing is measured.
	ConfigDigest string
	// SlashingStore returns the identity of the slashing store that this process uses. An error means that it is not known for now. nil
	// stands for a store without an identity.
	SlashingStore func(ctx context.Context) (string, error)
	// Wrap is how new shares are sealed; zero is WrapDataKey. Shares of WrapEncrypt are opened only if it says so or PinnedID is set: whoever
	// may call Encrypt can plant shares of a key of their own.
	Wrap Wrap
	// RefreshInterval is how often the signer state is read. Zero reads it at the start and before operations only: use it with one replica.
	RefreshInterval time.Duration
	// CheckInterval is how often each share is tried while unsealed, give or take a tenth. Zero tries neither them nor the items that the
	// manifest names.
	CheckInterval time.Duration
	// SetupTokenSHA256 is the hash, in hex, of the token that allows Init. Without it one is made, unless KMS is attested: logs of an enclave
	// reach the host.
	SetupTokenSHA256 string
	// Now is the clock for expiry of tokens and for times on display; nil is time.Now.
	Now      func() time.Time
	Log      *zap.Logger
	Registry prometheus.Registerer
}

// Chamber holds the master key while it is unsealed. It is safe for concurrent use.
type Chamber struct {
	o       Options
	allowed map[string]kms.ARN
	setup   setupToken
	metrics *metrics
	health  health
	kick    chan struct{} // asks for a check of the shares

	view atomic.Pointer[view]          // what is known, replaced whole while mu is held, read by all
	turn atomic.Pointer[chan struct{}] // is closed, and replaced, when what is told changes

	telling sync.Mutex // held while told is replaced, and what follows from it
	told    told       // what others were told last

	sealing atomic.Int32 // operators' seals that are being recorded: until that is done, outside hides the keys

	unsealing sync.Mutex // held for a whole Unseal

	freezing sync.Mutex             // held while lost, pending and here are replaced
	lost     *frozen                // what could not be recorded
	pending  []*frozen              // what is being recorded
	here     atomic.Pointer[frozen] // both: what is frozen on this replica alone, nil if nothing

	mu       sync.Mutex // held while the signer state is read or written: what is on view is never older than what was read before
	seen     stored     // the newest manifest that was authentic
	storeID  string     // of the slashing store, since the last unseal
	tried    attempt    // the last rebuild of the key
	rotating rotating   // since when a rotation of the master key is known
	stopped  bool
	// sealedHere is an operator's seal that was not recorded.
	sealedHere bool
}

// rotating says since when this process knows of a rotation of the master key.
type rotating struct {
	id    string // the new one
	since time.Time
}

// view is what is known at one time. It does not change.
type view struct {
	stored               // without a manifest if the chamber is uninitialized
	keys        *keyring // nil unless unsealed
	frozen      *frozen  // nil unless unsealed
	policies    policies
	missing     []string  // items that the manifest names and that are not there, or damaged
	sealed      string    // why it is sealed
	fault       error     // why what stands in the store is not taken
	unreachable error     // why the store was not read
	displaced   string    // why this replica's slashing store may not be used any more
	foreign     time.Time // since when what stands in the store is not of this chamber's key; zero if it is
	refreshed   time.Time // when the store was last read, by the monotonic clock
}

// New makes a chamber. It reads nothing yet; its errors are those of Options.
func New(o Options) (*Chamber, error) {
	if o.State == nil || o.KMS == nil || o.Log == nil || o.Registry == nil {
		return nil, errors.New("chamber: State, KMS, Log and Registry must be set")
	}
	if o.Wrap == 0 {
		o.Wrap = WrapDataKey
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SlashingStore == nil {
		o.SlashingStore = func(context.Context) (string, error) { return "", nil }
	}
	if err := errors.Join(checkWrap(o.Wrap), checkPin(o.PinnedID), checkDigest(o.ConfigDigest)); err != nil {
		return nil, fmt.Errorf("chamber: %w", err)
	}
	c := &Chamber{o: o, allowed: map[string]kms.ARN{}, kick: make(chan struct{}, 1)}
	for _, text := range o.AllowedKeys {
		arn, err := kms.ParseARN(text)
		if err != nil {
			return nil, fmt.Errorf("chamber: allowed keys: %w", err)
		}
		c.allowed[text] = arn
	}
	if len(c.allowed) == 0 {
		return nil, errors.New("chamber: AllowedKeys must name at least one KMS key")
	}
	var err error
	if c.setup, err = newSetupToken(o); err != nil {
		return nil, fmt.Errorf("chamber: %w", err)
	}
	if c.metrics, err = newMetrics(o.Registry); err != nil {
		return nil, err
	}
	c.tried.pause = newPause()
	c.view.Store(&view{})
	c.turn.Store(new(make(chan struct{})))
	c.told = told{state: c.view.Load().state()}
	c.metrics.state(c.told.state)
	return c, nil
}

func checkPin(id string) error {
	if id != "" && !hexOf(id, idSize) {
		return fmt.Errorf("PinnedID %.40q: want 32 hexadecimal digits", id)
	}
	return nil
}

// show puts a new view in the place of the old one, with mu held, wipes the keys that it does not have, and tells what has changed.
func (c *Chamber) show(next *view) {
	before := c.view.Swap(next)
	before.keys.wipeExcept(next.keys)
	c.tell()
	if next.keys != nil && (before.keys == nil || !sameShares(before.m, next.m)) {
		c.health.forget(next.m)
		c.metrics.shares.Reset()
		select {
		case c.kick <- struct{}{}:
		default: // one is asked for
		}
	}
	switch {
	case before.keys == nil && next.keys != nil:
		c.audit("unsealed", next)
		c.metrics.unseals.Inc()
	case before.keys != nil && next.keys == nil && !c.stopped:
		c.audit("sealed", next)
		c.metrics.seals.Inc()
	}
}

// told is what others are told of when it changes.
type told struct {
	state State
	key   string // id of the master key, "" if it may not be used
}

// tell has metrics, log, and those who wait for a change follow what may be seen now. It waits for no store: an operator's seal is told before
// it is recorded.
func (c *Chamber) tell() {
	c.telling.Lock()
	defer c.telling.Unlock()
	v, before := c.outside(), c.told
	c.told = told{v.state(), v.unsealed()}
	if c.told == before {
		return
	}
	c.metrics.state(c.told.state)
	close(*c.turn.Swap(new(make(chan struct{}))))
	if c.told.state != before.state {
		c.o.Log.Info("chamber state changed", zap.Stringer("from", before.state), zap.Stringer("to", c.told.state),
			zap.String("chamber", v.id()), zap.String("reason", v.reason()))
	}
}

// audit is the line that every transition leaves.
func (c *Chamber) audit(what string, v *view) {
	c.o.Log.Info("chamber: "+what, zap.String("audit", what), zap.String("chamber", v.id()), zap.Uint64("version", v.version()))
}
