package chamber

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

func key(n int) (k [48]byte) {
	binary.BigEndian.PutUint64(k[:], uint64(n))
	return k
}

func TestFreeze(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	other := w.restarted(Unsealed)
	for i, step := range []struct {
		do     func() error
		frozen [3]bool // of key 1, 2, 3
		items  int
	}{
		{func() error { return nil }, [3]bool{}, 0},
		{func() error { return c.Freeze(t.Context(), [][48]byte{key(1)}) }, [3]bool{true}, 1},
		{func() error { return other.Freeze(t.Context(), [][48]byte{key(2), key(1)}) }, [3]bool{true, true}, 1},
		{func() error { return c.Freeze(t.Context(), [][48]byte{key(2)}) }, [3]bool{true, true}, 1},
		{func() error { return c.Unfreeze(t.Context(), [][48]byte{key(1)}) }, [3]bool{false, true}, 1},
		{func() error { return c.Freeze(t.Context(), nil) }, [3]bool{true, true, true}, 0},
		{func() error { return c.Freeze(t.Context(), [][48]byte{key(1)}) }, [3]bool{true, true, true}, 0},
		{func() error { return other.Unfreeze(t.Context(), nil) }, [3]bool{}, 0},
		{func() error { return c.Freeze(t.Context(), [][48]byte{key(3)}) }, [3]bool{false, false, true}, 1},
		{func() error { return c.Unfreeze(t.Context(), [][48]byte{key(3)}) }, [3]bool{}, 0},
		{func() error { return c.Unfreeze(t.Context(), nil) }, [3]bool{}, 0},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		for name, x := range map[string]*Chamber{"first": c, "second": other, "restarted": w.restarted(Unsealed)} {
			if err := x.Refresh(t.Context()); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			if got := [3]bool{x.Frozen(key(1)), x.Frozen(key(2)), x.Frozen(key(3))}; got != step.frozen {
				t.Errorf("step %d, %s: frozen %v, want %v", i, name, got, step.frozen)
			}
		}
		listed, err := w.state.List(t.Context())
		if err != nil || len(listed) != 1+step.items {
			t.Errorf("step %d: the store has %v, %v, want %d items beside the manifest", i, listed, err, step.items)
		}
	}
	if err := c.Freeze(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "unfreeze one of all", c.Unfreeze(t.Context(), [][48]byte{key(1)}), ErrInvalid, "only be unfrozen together")
}

func TestFreezeMany(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	var keys [][48]byte
	for n := range 2*keysPerItem + 1 {
		keys = append(keys, key(n))
	}
	if err := c.Freeze(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	again := w.restarted(Unsealed)
	if s := again.Status(); s.FrozenKeys != len(keys) || s.Freeze != FreezeKeys {
		t.Errorf("status %+v", s)
	}
	if !again.Frozen(key(len(keys)-1)) || again.Frozen(key(len(keys))) {
		t.Error("the wrong keys are frozen")
	}
	if listed, err := w.state.List(t.Context()); err != nil || len(listed) != 4 {
		t.Errorf("%v, %v", listed, err)
	}
}

// While what is frozen is not known, everything is.
func TestFrozenIsTrueWhenUnknown(t *testing.T) {
	w := newWorld(t)
	if !w.replica().Frozen(key(1)) {
		t.Error("a chamber that has read nothing lets keys sign")
	}
	c, _ := w.initialized()
	if err := c.Freeze(t.Context(), [][48]byte{key(1)}); err != nil {
		t.Fatal(err)
	}
	name := c.view.Load().m.Items[0].Name
	item, err := w.state.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for what, do := range map[string]func() error{
		"missing": func() error { return nil },
		"damaged": func() error {
			return w.state.Put(t.Context(), store.Item{Name: name, Version: 1, Body: append(append([]byte(nil), item.Body...), 0)})
		},
	} {
		t.Run(what, func(t *testing.T) {
			if err := w.state.Delete(t.Context(), name, 1); err != nil {
				t.Fatal(err)
			}
			if err := do(); err != nil {
				t.Fatal(err)
			}
			cold := w.restarted(Unsealed)
			if !cold.Frozen(key(1)) || !cold.Frozen(key(2)) {
				t.Error("keys may sign")
			}
			if err := cold.Ready(); err == nil || !strings.Contains(err.Error(), "all keys are frozen: ["+name) || len(cold.Status().MissingItems) != 1 {
				t.Errorf("Ready: %v", err)
			}
			wantErr(t, "another one", cold.Freeze(t.Context(), [][48]byte{key(3)}), ErrCorrupt, name)

			c.tryItems(t.Context(), c.view.Load())
			if err := c.Ready(); err == nil || !strings.Contains(err.Error(), "what they said when they were last read holds: ["+name) {
				t.Errorf("the running one is ready: %v", err)
			}
			if !c.Frozen(key(1)) || c.Frozen(key(2)) {
				t.Error("the running one has lost its last good state")
			}
			if err := w.state.Delete(t.Context(), name, 1); err != nil {
				t.Fatal(err)
			}
			if err := w.state.Put(t.Context(), item); err != nil {
				t.Fatal(err)
			}
			for _, x := range []*Chamber{c, cold} {
				if err := x.Refresh(t.Context()); err != nil || x.Ready() != nil || !x.Frozen(key(1)) || x.Frozen(key(2)) {
					t.Errorf("after it is back: %v, %v", err, x.Ready())
				}
			}
		})
	}
	if err := w.state.Delete(t.Context(), name, 1); err != nil {
		t.Fatal(err)
	}
	cold := w.restarted(Unsealed)
	if err := cold.Unfreeze(t.Context(), nil); err != nil || cold.Ready() != nil || cold.Frozen(key(1)) {
		t.Errorf("an operator cannot go on: %v, %v", err, cold.Ready())
	}
}

// Frozen is asked for every signature, while everything else goes on.
func TestFrozenMeanwhile(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if c.Frozen(key(9)) {
						t.Error("a key is frozen that never was")
						return
					}
				}
			}
		})
	}
	for range 10 {
		if err := c.Freeze(t.Context(), [][48]byte{key(1)}); err != nil {
			t.Error(err)
		}
		if !c.Frozen(key(1)) {
			t.Error("not frozen when Freeze has returned")
		}
		if err := c.Unfreeze(t.Context(), [][48]byte{key(1)}); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}
