package chamber

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
)

func TestRotateKMS(t *testing.T) {
	w := newWorld(t)
	c, r := w.initialized()
	other := w.restarted(Unsealed)
	blob := sealed(t, c)
	old, err := parseManifest(w.stored())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RotateKMS(t.Context(), arns(3, 4, 5, 1), 3); err != nil {
		t.Fatal(err)
	}
	works(t, c, blob)
	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := other.Status(); s.Threshold != 3 || len(s.Shares) != 4 || s.Shares[0].KeyARN != arn(3) || s.ChamberID != r.ChamberID {
		t.Errorf("another replica has %+v", s)
	}
	w.kms.denies(arn(2), arn(1))
	works(t, w.restarted(Unsealed), blob)
	w.kms.breaks(opFails("", "", nil))
	// An old share among new ones: intact, of the same chamber, of another polynomial. It is sealed with another threshold.
	w.edit(func(m *manifest) { m.Shares[0] = old.Shares[2]; m.Shares[0].Number = 1 })
	c = w.replica()
	wantErr(t, "Refresh", c.Refresh(t.Context()), ErrForeign)
	if h := c.Status().Shares; h[0].OK {
		t.Errorf("health %+v", h)
	}
}

func TestRotateKMSRefuses(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	before := string(w.stored())
	wantErr(t, "threshold 0", c.RotateKMS(t.Context(), arns(1, 2), 0), ErrInvalid)
	wantErr(t, "a stranger's key", c.RotateKMS(t.Context(), arns(1, 77), 1), ErrInvalid)
	w.kms.breaks(opFails("Decrypt", arn(4), kms.ErrDenied))
	wantErr(t, "a key that does not open", c.RotateKMS(t.Context(), arns(3, 4), 1), kms.ErrDenied, "new share 2")
	w.kms.breaks(opFails("GenerateDataKey", arn(4), kms.ErrDisabled))
	wantErr(t, "a disabled key", c.RotateKMS(t.Context(), arns(3, 4), 1), kms.ErrDisabled)
	if string(w.stored()) != before {
		t.Error("the manifest has changed")
	}
}

// The whole rotation, with a replica that follows and one that comes late.
func TestRotateMasterKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c, r := w.initialized()
		other := w.restarted(Unsealed, func(o *Options) { o.PinnedID = r.ChamberID })
		if err := c.Freeze(t.Context(), [][48]byte{{7}}); err != nil {
			t.Fatal(err)
		}
		blob := sealed(t, c)
		stop := errors.New("stop here")
		began := time.Now()
		err := c.RotateMasterKey(t.Context(), func(context.Context) (int, error) { return 0, stop })
		wantErr(t, "stopped half-way", err, ErrUnfinished)
		wantErr(t, "stopped half-way", err, stop)
		if took := time.Since(began); took != 50*time.Second {
			t.Errorf("waited %s for other replicas, want twice the lease of 10s, and 30s for their writes", took)
		}
		w.in(c, AwaitingRotation)
		works(t, c, blob)
		if c.Current(blob) {
			t.Error("what the old key sealed counts as current")
		}
		if err := other.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.in(other, AwaitingRotation)
		works(t, other, blob)
		anew := sealed(t, other)
		late := w.restarted(AwaitingRotation, func(o *Options) { o.PinnedID = r.ChamberID })
		works(t, late, blob)
		works(t, late, anew)
		now := c.Status()
		if now.PreviousID != r.ChamberID || now.ChamberID == r.ChamberID || now.Generation != 2 {
			t.Errorf("status %+v", now)
		}
		for _, x := range []*Chamber{c, other, late} {
			if _, err := x.CheckRootToken(r.RootToken); err != nil {
				t.Errorf("the root token: %v", err)
			}
		}

		wantErr(t, "with the old chamber pinned", late.RotateMasterKey(t.Context(), nil), ErrPinned, now.ChamberID)
		next := w.restarted(AwaitingRotation, func(o *Options) { o.PinnedID = now.ChamberID })
		items := 3
		if err := next.RotateMasterKey(t.Context(), func(context.Context) (int, error) { items--; return items, nil }); err != nil {
			t.Fatal(err)
		}
		if items != 0 {
			t.Errorf("%d items left", items)
		}
		w.in(next, Unsealed)
		works(t, next, anew)
		_, err = next.Open("key", "k1", 7, blob)
		wantErr(t, "what the old key sealed", err, ErrForeign)
		if !next.Frozen([48]byte{7}) || next.Frozen([48]byte{8}) {
			t.Error("the freeze was lost")
		}
		again := w.restarted(Unsealed, func(o *Options) { o.PinnedID = now.ChamberID })
		works(t, again, anew)
		if !again.Frozen([48]byte{7}) || again.Frozen([48]byte{8}) || again.Ready() != nil {
			t.Errorf("the freeze was lost at a restart: %v", again.Ready())
		}
		if _, err := again.CheckRootToken(r.RootToken); err != nil {
			t.Errorf("the root token after the rotation: %v", err)
		}
		if err := other.Refresh(t.Context()); err != nil {
			t.Errorf("a running replica with the old chamber pinned: %v", err)
		}
		w.in(other, Unsealed)
		c = w.replica(func(o *Options) { o.PinnedID = r.ChamberID })
		wantErr(t, "a new one with the old chamber pinned", c.Refresh(t.Context()), ErrPinned)
	})
}

// TestSealDuringRotation: who seals and unseals meanwhile has another key in memory, and it is the same.
func TestSealDuringRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c, r := w.initialized()
		err := c.RotateMasterKey(t.Context(), func(ctx context.Context) (int, error) {
			return 0, errors.Join(c.SealChamber(ctx), c.Unseal(ctx, r.RootToken))
		})
		if err != nil {
			t.Error(err)
		}
		w.in(c, Unsealed)
		if s := c.Status(); s.Generation != 2 || s.PreviousID != "" {
			t.Errorf("%+v", s)
		}
	})
}

func TestRotateMasterKeyWithoutProgress(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized(func(o *Options) { o.RefreshInterval = 0 })
	err := c.RotateMasterKey(t.Context(), func(context.Context) (int, error) { return 5, nil })
	wantErr(t, "no progress", err, ErrUnfinished, "5 items are still sealed")
	w.in(c, AwaitingRotation)
	if err := c.RotateMasterKey(t.Context(), nil); err != nil {
		t.Error(err)
	}
	w.in(c, Unsealed)
}

// A forged successor: the host writes a manifest of its own chamber that claims to come after ours.
func TestForgedSuccessor(t *testing.T) {
	w := newWorld(t)
	c, r := w.initialized()
	mine := w.stored()
	other := newWorld(t)
	other.kms = w.kms
	evil, _ := other.initialized(func(o *Options) { o.RefreshInterval = 0 })
	wantErr(t, "half a rotation", evil.RotateMasterKey(t.Context(), func(context.Context) (int, error) { return 0, errors.New("stop") }), ErrUnfinished)
	m, err := parseManifest(other.stored())
	if err != nil {
		t.Fatal(err)
	}
	m.Previous.Chamber = r.ChamberID
	text, err := m.sign(evil.view.Load().keys.now)
	if err != nil {
		t.Fatal(err)
	}
	w.put(text)
	wantErr(t, "a running replica", c.Refresh(t.Context()), ErrForeign)
	w.in(c, Unsealed)
	cold := w.replica(func(o *Options) { o.PinnedID = r.ChamberID })
	wantErr(t, "a new one", cold.Refresh(t.Context()), ErrForeign)
	w.in(cold, Sealed)
	w.put(mine)
}

// A replica that does not see the signer state must not seal anything under a key that may be replaced.
func TestSealNeedsALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c, _ := w.initialized()
		<-time.After(10 * time.Second)
		sealed(t, c)
		<-time.After(time.Millisecond)
		_, err := c.Seal("key", "k", 1, nil)
		wantErr(t, "Seal", err, ErrStale)
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		sealed(t, c)
	})
}
