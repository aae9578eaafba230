package chamber

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// readOnly is a store that takes nothing.
type readOnly struct{ store.State }

func (readOnly) Put(context.Context, store.Item) error { return store.ErrUnavailable }

// An operator's seal holds here also if the store does not take it, and no refresh undoes it.
func TestSealWithoutStore(t *testing.T) {
	for name, away := range map[string]func(store.State) store.State{
		"no reads":  func(s store.State) store.State { return unreachable{s} },
		"no writes": func(s store.State) store.State { return readOnly{s} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c, r := w.initialized()
			held := c.view.Load().keys.now
			c.o.State = away(w.state)
			wantErr(t, "seal", c.SealChamber(t.Context()), store.ErrUnavailable, "this replica is sealed", "the others may not be")
			w.in(c, Sealed)
			if held.master.Use(func([]byte) error { return nil }) == nil {
				t.Error("the master key is still in memory")
			}
			c.o.State = w.state
			if s := w.restarted(Unsealed).Status(); s.OperatorSeal {
				t.Errorf("it was recorded: %+v", s)
			}
			asked := w.kms.calls.Load()
			for range 2 {
				if err := c.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
				w.in(c, Sealed)
			}
			if w.kms.calls.Load() != asked {
				t.Error("KMS was asked for a key that may not be used")
			}
			if s := c.Status(); !s.OperatorSeal || !strings.Contains(s.Reason, "this replica alone") {
				t.Errorf("status %+v", s)
			}
			wantErr(t, "a wrong token", c.Unseal(t.Context(), NewRootToken()), ErrToken)
			if err := c.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
			w.in(c, Sealed)
			if err := errors.Join(c.Unseal(t.Context(), r.RootToken), c.Refresh(t.Context())); err != nil {
				t.Fatal(err)
			}
			w.in(c, Unsealed)
		})
	}
}

// A rebuild that was under way when the operator sealed does not bring the key back.
func TestSealWhileRebuilding(t *testing.T) {
	w := newWorld(t)
	w.initialized()
	c := w.replica()
	w.kms.breaks(func(context.Context, string, string) error { c.sealHere(); return nil })
	if err := c.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	w.in(c, Sealed)
}

// A freeze holds here also if the store does not take it, until it is recorded or taken back here.
func TestFreezeWithoutStore(t *testing.T) {
	one := [][48]byte{key(1)}
	for name, tc := range map[string]struct {
		keys   [][48]byte
		ends   func(c *Chamber) error
		second bool // key 2 is frozen too
	}{
		"all, unfrozen":  {nil, func(c *Chamber) error { return c.Unfreeze(t.Context(), nil) }, true},
		"one, unfrozen":  {one, func(c *Chamber) error { return c.Unfreeze(t.Context(), one) }, false},
		"one, all":       {one, func(c *Chamber) error { return c.Unfreeze(t.Context(), nil) }, false},
		"all, recorded":  {nil, func(c *Chamber) error { return c.Freeze(t.Context(), nil) }, true},
		"one, recorded":  {one, func(c *Chamber) error { return c.Freeze(t.Context(), one) }, false},
		"one, also done": {one, func(c *Chamber) error { return c.Freeze(t.Context(), [][48]byte{key(1), key(3)}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c, _ := w.initialized()
			other := w.restarted(Unsealed)
			c.o.State = readOnly{w.state}
			wantErr(t, "freeze", c.Freeze(t.Context(), tc.keys), store.ErrUnavailable, "this replica alone", "on the others")
			c.o.State = w.state
			if err := c.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !c.Frozen(key(1)) || c.Frozen(key(2)) != tc.second {
				t.Errorf("frozen %t, %t", c.Frozen(key(1)), c.Frozen(key(2)))
			}
			if s := c.Status(); !strings.Contains(s.Reason, "this replica alone") || s.Freeze != FreezeNone {
				t.Errorf("status %+v", s)
			}
			if tc.second {
				wantErr(t, "unfreeze one of all", c.Unfreeze(t.Context(), one), ErrInvalid, "only be unfrozen together")
			}
			if err := tc.ends(c); err != nil {
				t.Fatal(err)
			}
			if here := c.here.Load(); here.has(key(1)) || here.has(key(2)) {
				t.Errorf("something is frozen here alone: %+v", here)
			}
			if err := errors.Join(other.Refresh(t.Context()), other.Unfreeze(t.Context(), nil), c.Refresh(t.Context())); err != nil {
				t.Fatal(err)
			}
			if c.Frozen(key(1)) || c.Frozen(key(2)) || c.Status().Reason != "" {
				t.Errorf("frozen although another replica has unfrozen all: %+v", c.Status())
			}
		})
	}
	w := newWorld(t)
	c, _ := w.initialized()
	many := make([][48]byte, MaxFrozen+1)
	for i := range many {
		many[i] = key(i)
	}
	wantErr(t, "too many", c.Freeze(t.Context(), many), ErrInvalid)
	if c.Frozen(key(1)) {
		t.Error("a refused request has frozen a key")
	}
}

// hanging does not list.
type hanging struct{ store.State }

func (hanging) List(ctx context.Context) ([]store.Listed, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A store that never answers does not hold up the freeze for long.
func TestFreezeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c, _ := w.initialized()
		c.o.State = hanging{w.state}
		began := time.Now()
		wantErr(t, "freeze", c.Freeze(t.Context(), nil), context.DeadlineExceeded)
		if took := time.Since(began); took != storeLimit {
			t.Errorf("it took %s", took)
		}
		if !c.Frozen(key(1)) {
			t.Error("not frozen")
		}
	})
}
