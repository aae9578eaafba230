// Package storetest holds every slashing store to the same contract.
package storetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Memory is the reference: the rule itself over two maps. What it holds outlives Close, as a disk would, and Reopen
// brings it back.
type Memory struct {
	mu     sync.Mutex
	last   map[place]slashing.Vote
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
func NewMemory() *Memory { return &Memory{last: make(map[place]slashing.Vote)} }

// Advance implements slashing.Store.
func (m *Memory) Advance(ctx context.Context, claims []slashing.Claim) ([]slashing.Outcome, error) {
	if err := m.Check(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	outcomes := make([]slashing.Outcome, len(claims))
	for i, c := range claims {
		p := placeOf(c)
		if slashing.Judge(m.last[p], c.Vote).Allowed() {
			m.last[p] = c.Vote
		}
		outcomes[i].Standing = m.last[p]
	}
	return outcomes, nil
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
