package chamber

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// What an operator has asked for in an emergency holds on the replica that was asked, from that moment, whether the signer state answers
// late, or does not take it. Nothing that stands there ends it then: only an operator on this replica, or a restart.

// hereAlone is why a replica is sealed whose seal was not recorded.
const hereAlone = "sealed by an operator on this replica alone, not recorded in the signer state, until an operator unseals this replica"

// sealUnderWay is why a replica is sealed whose seal is being recorded: the master key is in memory until then, to make the record with.
const sealUnderWay = "sealed by an operator, until an operator unseals; it is being recorded in the signer state"

// outside is what is known, for all who do not write the signer state themselves: without keys from the first moment of an operator's seal.
// It waits for nothing.
func (c *Chamber) outside() *view {
	sealing := c.sealing.Load() > 0 // before the view: a seal that is over by now is on it
	v := c.view.Load()
	if !sealing || v.keys == nil {
		return v
	}
	sealed := *v
	sealed.keys, sealed.frozen, sealed.fault, sealed.sealed = nil, nil, nil, sealUnderWay
	return &sealed
}

// hideKeys has this replica sign and open nothing, whoever holds up what follows, until show is called.
func (c *Chamber) hideKeys() (show func()) {
	c.sealing.Add(1)
	c.tell()
	return func() {
		c.sealing.Add(-1)
		c.tell()
	}
}

// sealHere wipes the master key, and has no refresh bring it back.
func (c *Chamber) sealHere() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sealedHere = true
	v := c.view.Load()
	c.show(&view{stored: v.stored, sealed: hereAlone, unreachable: v.unreachable, refreshed: v.refreshed})
}

// freezeHere freezes keys on this replica while that is being recorded, and without keys all.
func (c *Chamber) freezeHere(keys [][48]byte) *frozen {
	f := &frozen{all: len(keys) == 0, keys: map[[48]byte]struct{}{}}
	for _, k := range keys {
		f.keys[k] = struct{}{}
	}
	c.freezing.Lock()
	defer c.freezing.Unlock()
	c.pending = append(c.pending, f)
	c.here.Store(together(append(c.pending, c.lost)...))
	return f
}

// settleHere ends what freezeHere began. If it is lost it stays, until it is thawed.
func (c *Chamber) settleHere(f *frozen, lost bool) {
	c.freezing.Lock()
	defer c.freezing.Unlock()
	c.pending = slices.DeleteFunc(c.pending, func(p *frozen) bool { return p == f })
	if lost {
		c.lost = together(c.lost, f)
	}
	c.here.Store(together(append(c.pending, c.lost)...))
}

// thawHere ends what was lost of freezes of keys, and without keys all of it: the signer state says now what is so.
func (c *Chamber) thawHere(keys [][48]byte) {
	c.freezing.Lock()
	defer c.freezing.Unlock()
	if c.lost == nil {
		return
	}
	left := &frozen{all: c.lost.all, keys: maps.Clone(c.lost.keys)}
	for _, k := range keys {
		delete(left.keys, k)
	}
	if len(keys) == 0 {
		left = nil
	}
	c.lost = together(left)
	c.here.Store(together(append(c.pending, c.lost)...))
}

// together is what is frozen by any of these, nil if nothing is.
func together(some ...*frozen) *frozen {
	next := &frozen{keys: map[[48]byte]struct{}{}}
	for _, f := range some {
		if f != nil {
			next.all = next.all || f.all
			maps.Copy(next.keys, f.keys)
		}
	}
	if next.all = next.all || len(next.keys) > MaxFrozen; !next.all && len(next.keys) == 0 {
		return nil
	}
	return next
}

// frozenHere says in words that something is frozen on this replica alone, "" if nothing is.
func (c *Chamber) frozenHere() string {
	c.freezing.Lock()
	defer c.freezing.Unlock()
	switch {
	case c.lost != nil:
		return "keys are frozen on this replica alone, because a freeze could not be recorded (`operator unfreeze` ends it)"
	case len(c.pending) > 0:
		return "keys are frozen on this replica, and that is being recorded in the signer state"
	}
	return ""
}

// Frozen says whether a key must not sign what can be slashed. It is true for all keys while that is not known: before the chamber is
// unsealed, if the list of frozen keys is missing, and if the signer state is not of this chamber's key for as long as the lease of
// [Chamber.Seal]: a freeze would not be seen. It waits for nothing.
func (c *Chamber) Frozen(public [48]byte) bool {
	here := c.here.Load() // first: what is taken out of it later is in the view by then
	v := c.outside()
	if v.frozen == nil || v.displaced != "" || v.frozen.has(public) || here.has(public) {
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

// Freeze has keys sign nothing that can be slashed: on this replica from the moment it is called, on every replica when it reads the signer
// state; without keys, all keys there are and will be. Keys that are frozen already stay so. If it cannot be recorded, the keys stay frozen on
// this replica, and the error says so. With ErrInvalid and ErrUninitialized nothing more is frozen than before.
func (c *Chamber) Freeze(ctx context.Context, keys [][48]byte) error {
	f := c.freezeHere(keys)
	err := c.freeze(ctx, keys)
	refused := errors.Is(err, ErrInvalid) || errors.Is(err, ErrUninitialized)
	c.settleHere(f, err != nil && !refused)
	switch {
	case err == nil:
		c.thawHere(keys)
		return nil
	case refused:
		return err
	}
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
