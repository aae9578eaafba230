package chamber

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// What an operator has asked for in an emergency holds on the replica that was asked, also if the signer state does not take it. Nothing that
// stands there ends it: only an operator on this replica, or a restart.

// hereAlone is why a replica is sealed whose seal was not recorded.
const hereAlone = "sealed by an operator on this replica alone, not recorded in the signer state, until an operator unseals this replica"

// sealHere wipes the master key, and has no refresh bring it back.
func (c *Chamber) sealHere() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sealedHere = true
	v := c.view.Load()
	c.show(&view{stored: v.stored, sealed: hereAlone, unreachable: v.unreachable, refreshed: v.refreshed})
}

// freezeHere freezes keys on this replica, and without keys all. Those that are frozen already stay so.
func (c *Chamber) freezeHere(keys [][48]byte) {
	c.freezing.Lock()
	defer c.freezing.Unlock()
	next := &frozen{all: len(keys) == 0, keys: map[[48]byte]struct{}{}}
	if before := c.here.Load(); before != nil {
		next.all = next.all || before.all
		maps.Copy(next.keys, before.keys)
	}
	for _, k := range keys {
		next.keys[k] = struct{}{}
	}
	next.all = next.all || len(next.keys) > MaxFrozen
	c.here.Store(next)
}

// thawHere ends what freezeHere did to keys, and without keys all of it: the signer state says now what is so.
func (c *Chamber) thawHere(keys [][48]byte) {
	c.freezing.Lock()
	defer c.freezing.Unlock()
	before := c.here.Load()
	if before == nil {
		return
	}
	if len(keys) == 0 {
		c.here.Store(nil)
		return
	}
	next := &frozen{all: before.all, keys: maps.Clone(before.keys)}
	for _, k := range keys {
		delete(next.keys, k)
	}
	if !next.all && len(next.keys) == 0 {
		next = nil
	}
	c.here.Store(next)
}

// Frozen says whether a key must not sign what can be slashed. It is true for all keys while that is not known: before the chamber is
// unsealed, if the list of frozen keys is missing, and if the signer state is not of this chamber's key for as long as the lease of
// [Chamber.Seal]: a freeze would not be seen. It waits for nothing.
func (c *Chamber) Frozen(public [48]byte) bool {
	v := c.view.Load()
	if v.frozen == nil || v.displaced != "" || v.frozen.has(public) || c.here.Load().has(public) {
		return true
	}
	lease := c.lease()
	return lease != 0 && !v.foreign.IsZero() && time.Since(v.foreign) > lease
}

func (f *frozen) has(public [48]byte) bool {
	if f == nil {
		return false
	}
	_, is := f.keys[public]
	return f.all || is
}

// Freeze has keys sign nothing that can be slashed, on every replica when it reads the signer state; without keys, all keys there are and
// will be. Keys that are frozen already stay so. If it cannot be recorded, the keys are frozen on this replica, and the error says so.
func (c *Chamber) Freeze(ctx context.Context, keys [][48]byte) error {
	err := c.freeze(ctx, keys)
	switch {
	case err == nil:
		c.thawHere(keys)
		return nil
	case errors.Is(err, ErrInvalid), errors.Is(err, ErrUninitialized):
		return err
	}
	c.freezeHere(keys)
	return fmt.Errorf("%w; it is not recorded: they are frozen on this replica alone until an operator unfreezes them here, and may sign on the others", err)
}

// Unfreeze ends the freeze of keys, and without keys every freeze; also what was frozen on this replica alone.
func (c *Chamber) Unfreeze(ctx context.Context, keys [][48]byte) error {
	if here := c.here.Load(); len(keys) > 0 && here != nil && here.all {
		return fmt.Errorf("unfreeze: %w: all keys are frozen on this replica, and can only be unfrozen together", ErrInvalid)
	}
	err := c.unfreeze(ctx, keys)
	if err == nil {
		c.thawHere(keys)
	}
	return err
}
