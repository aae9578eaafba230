// Package storetest holds every slashing store to the same contract.
package storetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Memory is the reference: the rule itself over two maps. What it holds outlives Close, as a disk would, and Reopen
// brings it back.
type Memory struct {
	mu     sync.Mutex
	last   map[place]slashing.Vote
	id     slashing.Identity
	all    slashing.HighWatermark
	single map[bls.PublicKey]slashing.HighWatermark
	closed bool
}

// place is where a store keeps one record.
type place struct {
	key   bls.PublicKey
	block bool
}

func placeOf(c slashing.Claim) place {
	_, block := c.Vote.(slashing.Block)
	return place{c.Key, block}
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		last: make(map[place]slashing.Vote),
		all:  slashing.NoHighWatermark(), single: make(map[bls.PublicKey]slashing.HighWatermark),
		id: slashing.Identity{ID: fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())}, //nolint:gosec // not for secrets
	}
}

// Advance implements slashing.Store.
func (m *Memory) Advance(ctx context.Context, claims []slashing.Claim) ([]slashing.Outcome, error) {
	if err := m.Check(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	outcomes := make([]slashing.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = m.advance(c)
	}
	return outcomes, nil
}

// advance is one claim. The mutex is held.
func (m *Memory) advance(c slashing.Claim) slashing.Outcome {
	p, known := placeOf(c), m.record(c.Key)
	high := m.all
	if own, ok := m.single[c.Key]; ok {
		high = high.Lower(own)
	}
	switch {
	case !high.Judge(c.Vote).Allowed():
		return slashing.Outcome{Standing: m.last[p], Above: &high}
	case c.KnownOnly && known.Attestation == nil && known.Block == nil:
	case slashing.Judge(m.last[p], c.Vote).Allowed():
		m.last[p] = c.Vote
	}
	return slashing.Outcome{Standing: m.last[p]}
}

// SetHighWatermark implements slashing.Ledger.
func (m *Memory) SetHighWatermark(ctx context.Context, keys []bls.PublicKey, h slashing.HighWatermark) error {
	if err := m.Check(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if keys == nil {
		m.all = h
	}
	for _, key := range keys {
		if m.single[key] = h; h == slashing.NoHighWatermark() {
			delete(m.single, key)
		}
	}
	return nil
}

// HighWatermark implements slashing.Ledger.
func (m *Memory) HighWatermark(ctx context.Context) (slashing.HighWatermark, error) {
	if err := m.Check(ctx); err != nil {
		return slashing.HighWatermark{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all, nil
}

// KeyHighWatermarks implements slashing.Ledger.
func (m *Memory) KeyHighWatermarks(ctx context.Context) (map[bls.PublicKey]slashing.HighWatermark, error) {
	if err := m.Check(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.single), nil
}

// Identify implements slashing.Ledger.
func (m *Memory) Identify(ctx context.Context) (slashing.Identity, error) {
	if err := m.Check(ctx); err != nil {
		return slashing.Identity{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id, nil
}

// Pin implements slashing.Ledger.
func (m *Memory) Pin(ctx context.Context, validatorsRoot eth2.Root) error {
	if err := m.Check(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.id.Pinned && m.id.ValidatorsRoot != validatorsRoot {
		return fmt.Errorf("%w: %x, not %x", slashing.ErrNetwork, m.id.ValidatorsRoot, validatorsRoot)
	}
	m.id.ValidatorsRoot, m.id.Pinned = validatorsRoot, true
	return nil
}

// Merge implements slashing.Ledger.
func (m *Memory) Merge(ctx context.Context, records []slashing.Record) error {
	if err := m.Check(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		merged := slashing.Merged(m.record(r.Key), r)
		if a := merged.Attestation; a != nil {
			m.last[place{key: r.Key}] = *a
		}
		if b := merged.Block; b != nil {
			m.last[place{key: r.Key, block: true}] = *b
		}
	}
	return nil
}

// Each implements slashing.Ledger.
func (m *Memory) Each(ctx context.Context, f func(slashing.Record) error) error {
	if err := m.Check(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	records := make(map[bls.PublicKey]slashing.Record)
	for at := range m.last {
		records[at.key] = m.record(at.key)
	}
	m.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(records), func(a, b bls.PublicKey) int { return bytes.Compare(a[:], b[:]) })
	for _, key := range keys {
		if err := f(records[key]); err != nil {
			return err
		}
	}
	return nil
}

// record is what there is of a key. The mutex is held.
func (m *Memory) record(key bls.PublicKey) slashing.Record {
	r := slashing.Record{Key: key}
	if a, ok := m.last[place{key: key}].(slashing.Attestation); ok {
		r.Attestation = &a
	}
	if b, ok := m.last[place{key: key, block: true}].(slashing.Block); ok {
		r.Block = &b
	}
	return r
}

// Check implements slashing.Store.
func (m *Memory) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", slashing.ErrUnavailable, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fmt.Errorf("%w: closed", slashing.ErrUnavailable)
	}
	return nil
}

// Close implements slashing.Store.
func (m *Memory) Close() error { return m.shut(true) }

// Reopen ends what Close began.
func (m *Memory) Reopen() { _ = m.shut(false) }

func (m *Memory) shut(closed bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = closed
	return nil
}

// Liar is a store that fails at will, before or after the store under it has recorded the claims. It stands for
// a database whose connection breaks.
type Liar struct {
	slashing.Store

	// Before, if set, is called first; its error is returned and nothing is recorded.
	Before func(ctx context.Context, claims []slashing.Claim) error
	// After, if set, is called when the claims are recorded; what it returns is returned.
	After func(outcomes []slashing.Outcome, err error) ([]slashing.Outcome, error)
}

// Advance implements slashing.Store, as honestly as Before and After let it.
func (l *Liar) Advance(ctx context.Context, claims []slashing.Claim) ([]slashing.Outcome, error) {
	if l.Before != nil {
		if err := l.Before(ctx, claims); err != nil {
			return nil, err
		}
	}
	outcomes, err := l.Store.Advance(ctx, claims)
	if l.After != nil {
		return l.After(outcomes, err)
	}
	return outcomes, err
}
