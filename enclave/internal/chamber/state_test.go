package chamber

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// What a running chamber finds in the store that is not its own: it keeps what it has, and says that it is not ready.
func TestLastGoodStateStays(t *testing.T) {
	for name, tc := range map[string]struct {
		do    func(w *world, older []byte)
		kind  error
		words string
	}{
		"rolled back": {func(w *world, older []byte) { w.put(older) }, ErrRolledBack, "version 2, and another of version 3 was seen"},
		"deleted": {func(w *world, _ []byte) {
			item, err := w.state.Get(w.t.Context(), manifestName)
			if err == nil {
				err = w.state.Delete(w.t.Context(), manifestName, item.Version)
			}
			if err != nil {
				w.t.Fatal(err)
			}
		}, ErrRolledBack, "no manifest any more"},
		"of another chamber": {func(w *world, _ []byte) {
			other := newWorld(w.t)
			other.kms = w.kms
			other.initialized()
			w.put(raise(w.t, other.stored(), 9))
		}, ErrForeign, "does not come right after"},
		"tampered":        {func(w *world, _ []byte) { w.edit(func(m *manifest) { m.Version++; m.SlashingStore = "mine" }) }, ErrForeign, "authentication code"},
		"same version":    {func(w *world, _ []byte) { w.edit(func(m *manifest) { m.SlashingStore = "mine" }) }, ErrRolledBack, "another of version 3"},
		"newer format":    {func(w *world, _ []byte) { w.put([]byte(`{"format":3,"chamber":{}}`)) }, ErrNewer, "format 3, this release reads 2"},
		"garbage":         {func(w *world, _ []byte) { w.put([]byte("garbage")) }, ErrCorrupt, "manifest in the signer state"},
		"unknown field":   {func(w *world, _ []byte) { w.put(bytes.Replace(w.stored(), []byte(`{`), []byte(`{"a":1,`), 1)) }, ErrCorrupt, "unknown field"},
		"duplicate field": {func(w *world, _ []byte) { w.put(bytes.Replace(w.stored(), []byte(`{`), []byte(`{"format":1,`), 1)) }, ErrCorrupt, "canonical"},
		"space":           {func(w *world, _ []byte) { w.put(append(w.stored(), '\n')) }, ErrCorrupt, "canonical"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c, _ := w.initialized()
			blob := sealed(t, c)
			if err := c.ApproveConfig(t.Context(), digest(digestB), "next"); err != nil {
				t.Fatal(err)
			}
			older := w.stored()
			if err := c.Freeze(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			newest := w.stored()
			tc.do(w, older)
			asked := w.kms.calls.Load()
			wantErr(t, "Refresh", c.Refresh(t.Context()), tc.kind, tc.words)
			w.in(c, Unsealed)
			works(t, c, blob)
			if err := c.Ready(); err == nil || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("Ready: %v", err)
			}
			if !c.Frozen([48]byte{1}) || c.Status().Version != 3 {
				t.Errorf("the last good state is gone: %+v", c.Status())
			}
			wantErr(t, "a change on top of it", c.Unfreeze(t.Context(), nil), tc.kind)
			if w.kms.calls.Load() != asked {
				t.Error("KMS was asked about it")
			}
			if name == "deleted" {
				return // the store begins anew with version 1
			}
			w.put(newest)
			if err := errors.Join(c.Refresh(t.Context()), c.Ready(), c.Unfreeze(t.Context(), nil)); err != nil {
				t.Errorf("after the newest is back: %v", err)
			}
		})
	}
}

// raise gives a manifest's text another version, without its authentication.
func raise(t *testing.T, text []byte, version uint64) []byte {
	t.Helper()
	m, err := parseManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	m.Version = version
	return encoded(t, m)
}

func TestColdStartOnWhatIsNotOurs(t *testing.T) {
	w := newWorld(t)
	_, r := w.initialized()
	mine := w.stored()
	other := newWorld(t)
	other.kms = w.kms
	_, planted := other.initialized()

	t.Run("another chamber, pinned", func(t *testing.T) {
		w.put(other.stored())
		c := w.replica(func(o *Options) { o.PinnedID = r.ChamberID })
		wantErr(t, "Refresh", c.Refresh(t.Context()), ErrPinned, r.ChamberID, planted.ChamberID)
		w.in(c, Sealed)
		asked := w.kms.calls.Load()
		wantErr(t, "Refresh again", c.Refresh(t.Context()), ErrPinned)
		if w.kms.calls.Load() != asked {
			t.Error("KMS is asked again, although only another manifest can help")
		}
		w.put(mine)
		if err := c.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		w.in(c, Unsealed)
	})
	t.Run("another chamber's key under our id", func(t *testing.T) {
		foreign, err := parseManifest(other.stored())
		if err != nil {
			t.Fatal(err)
		}
		foreign.Chamber = r.ChamberID
		w.put(encoded(t, foreign))
		w.restarted(Sealed)
		w.put(mine)
	})
	t.Run("tampered", func(t *testing.T) {
		w.put(mine)
		w.edit(func(m *manifest) { m.Approved = append(m.Approved, Approval{Digest: digest(digestB)}) })
		c := w.replica(func(o *Options) { o.ConfigDigest = digest(digestB) })
		wantErr(t, "Refresh", c.Refresh(t.Context()), ErrForeign)
		w.in(c, Sealed)
		w.put(mine)
	})
	t.Run("an operator's seal taken away", func(t *testing.T) {
		c := w.restarted(Unsealed)
		if err := c.SealChamber(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.edit(func(m *manifest) { m.Sealed = false })
		again := w.replica()
		wantErr(t, "Refresh", again.Refresh(t.Context()), ErrForeign)
		w.in(again, Sealed)
		wantErr(t, "Refresh of the one that knows better", c.Refresh(t.Context()), ErrRolledBack)
		w.in(c, Sealed)
	})
}

// unreachable is a store that is away.
type unreachable struct{ store.State }

func (unreachable) Get(context.Context, string) (store.Item, error) {
	return store.Item{}, store.ErrUnavailable
}

// The same store is away for all replicas, so none may leave the service because of it.
func TestStoreAway(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	c.o.State = unreachable{w.state}
	wantErr(t, "Refresh", c.Refresh(t.Context()), store.ErrUnavailable)
	if err := c.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
	if s := c.Status(); s.State != Unsealed || !strings.Contains(s.Unreachable, "unavailable") {
		t.Errorf("status %+v", s)
	}
	c.o.State = w.state
	if err := c.Refresh(t.Context()); err != nil || c.Status().Unreachable != "" {
		t.Errorf("%v, %q", err, c.Status().Unreachable)
	}
}

func FuzzManifest(f *testing.F) {
	w := newWorld(nil)
	g, err := newGeneration()
	if err != nil {
		f.Fatal(err)
	}
	c, err := New(Options{State: w.state, KMS: w.kms, AllowedKeys: arns(1, 2), Log: w.core, Registry: prometheus.NewRegistry()})
	if err != nil {
		f.Fatal(err)
	}
	m := &manifest{Format: 1, Version: 1, Generation: 1, Frozen: FreezeNone, Approved: []Approval{{"", "init", 5}}}
	if err := errors.Join(c.split(f.Context(), g, m, 1, slices.Collect(maps.Values(c.allowed))), c.newTokens(m, g, NewRootToken())); err != nil {
		f.Fatal(err)
	}
	text, err := m.sign(g)
	if err != nil {
		f.Fatal(err)
	}
	genuine := slices.Clone(text)
	f.Add(text)
	f.Add([]byte(`{"format":3}`))
	f.Add([]byte(`{"format":1,"format":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseManifest(text)
		if err != nil {
			if m != nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
				t.Errorf("%v, %v", m, err)
			}
			return
		}
		if !bytes.Equal(encoded(t, m), text) {
			t.Error("it was read and is written otherwise")
		}
		if len(m.Shares) == 0 || m.Threshold < 1 || m.Threshold > len(m.Shares) {
			t.Errorf("threshold %d of %d", m.Threshold, len(m.Shares))
		}
		if m.authenticate(g) == nil && !bytes.Equal(text, genuine) {
			t.Error("what the master key did not sign is authentic")
		}
	})
}

// TestBeforeTheFirstRead: nobody knows yet whether there is a chamber, and nobody is told that there is none.
func TestBeforeTheFirstRead(t *testing.T) {
	w := newWorld(t)
	w.initialized()
	c := w.replica()
	if s := c.Status(); s.State != Sealed || s.Reason != "the signer state has not been read yet" {
		t.Errorf("%v: %s", s.State, s.Reason)
	}
	wantErr(t, "before", c.Sealed(), ErrSealed, "not been read yet")
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.in(c, Unsealed)
	none := newWorld(t).replica()
	if err := none.Refresh(t.Context()); err != nil || none.Status().State != Uninitialized {
		t.Errorf("%v, %v", none.Status().State, err)
	}
}
