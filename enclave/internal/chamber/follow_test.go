package chamber

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
)

// One administrator of one KMS key who writes the state must not make a chamber that a configuration with a threshold takes.
func TestStoredThreshold(t *testing.T) {
	w := newWorld(t)
	_, r := w.initialized() // 2 of 3
	asked := w.kms.calls.Load()
	c := w.replica(func(o *Options) { o.Threshold = 3 })
	for range 2 {
		wantErr(t, "Refresh", c.Refresh(t.Context()), ErrPinned, "2 shares give the master key", "threshold of 3")
	}
	wantErr(t, "Unseal", c.Unseal(t.Context(), r.RootToken), ErrPinned)
	w.in(c, Sealed)
	if w.kms.calls.Load() != asked {
		t.Error("KMS was asked")
	}
	w.restarted(Unsealed, func(o *Options) { o.Threshold = 2 })
	w.restarted(Unsealed, func(o *Options) { o.Threshold = 1 })
	w.restarted(Unsealed, func(o *Options) { o.Threshold, o.PinnedID = 3, r.ChamberID })
}

// A replica that the configuration keeps from following its own key's successor does not sign on by itself.
func TestCannotFollowRotation(t *testing.T) {
	w := newWorld(t)
	c, r := w.initialized(func(o *Options) { o.RefreshInterval = 0 })
	late := w.restarted(Unsealed, func(o *Options) { o.PinnedID = r.ChamberID })
	if err := c.RotateMasterKey(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	held := late.view.Load().keys.now
	for range 2 {
		wantErr(t, "Refresh", late.Refresh(t.Context()), ErrPinned, r.ChamberID)
		w.in(late, Sealed)
	}
	if held.master.Use(func([]byte) error { return nil }) == nil {
		t.Error("the master key is still in memory")
	}
}

// Without a state of its own key a replica sees no freeze: it signs for the lease, and is frozen then, until it sees its own again.
func TestForeignStateFreezes(t *testing.T) {
	for name, plant := range map[string]func(w *world){
		"of another chamber": func(w *world) {
			other := newWorld(w.t)
			other.kms = w.kms
			other.initialized()
			w.put(raise(w.t, other.stored(), 9))
		},
		"tampered": func(w *world) { w.edit(func(m *manifest) { m.Version++; m.Threshold = 1 }) },
		"a successor, tampered": func(w *world) {
			c := w.restarted(Unsealed, func(o *Options) { o.RefreshInterval = 0 })
			if err := c.RotateMasterKey(w.t.Context(), nil); err != nil {
				w.t.Fatal(err)
			}
			w.edit(func(m *manifest) { m.Frozen = FreezeAll })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c, _ := w.initialized()
				mine := w.stored()
				plant(w)
				wantErr(t, "Refresh", c.Refresh(t.Context()), ErrForeign)
				after(c.lease())
				if c.Frozen(key(1)) {
					t.Error("frozen within the lease")
				}
				wantErr(t, "Refresh", c.Refresh(t.Context()), ErrForeign)
				after(time.Millisecond)
				if !c.Frozen(key(1)) {
					t.Error("it signs on after the lease")
				}
				w.in(c, Unsealed)
				w.put(mine)
				if err := c.Refresh(t.Context()); err != nil || c.Frozen(key(1)) {
					t.Errorf("after its own is back: frozen %t, %v", c.Frozen(key(1)), err)
				}
			})
		})
	}
}

// Whoever writes the state drives neither calls to KMS at the pace of the refreshes nor memory.
func TestManyManifests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.initialized()
		mine := w.stored()
		c := w.replica()
		asked := w.kms.calls.Load()
		for i := range 600 {
			w.edit(func(m *manifest) {
				m.Version++
				for n := range m.Shares {
					m.Shares[n].Sealed[0], m.Shares[n].Sealed[1] = byte(i), byte(i>>8)
				}
			})
			if c.Refresh(t.Context()) == nil {
				t.Fatal("it was taken")
			}
			after(time.Second)
		}
		if n := (w.kms.calls.Load() - asked) / 3; n < 10 || n > 60 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		if n := len(c.health.shares); n > 3 {
			t.Errorf("the health of %d shares is kept", n)
		}
		w.put(mine)
		after(40 * time.Second)
		if err := c.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		w.in(c, Unsealed)
	})
}

// What the configuration refuses before KMS is asked does not end the pause.
func TestRefusedManifestKeepsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.initialized()
		w.kms.breaks(opFails("Decrypt", "", kms.ErrDenied))
		c := w.replica(func(o *Options) { o.Threshold = 2 })
		if c.Refresh(t.Context()) == nil {
			t.Fatal("it was taken")
		}
		asked := w.kms.calls.Load()
		for range 5 {
			for _, threshold := range []int{1, 2} {
				w.edit(func(m *manifest) { m.Version++; m.Threshold = threshold })
				if c.Refresh(t.Context()) == nil {
					t.Fatal("it was taken")
				}
			}
		}
		if n := w.kms.calls.Load() - asked; n != 0 {
			t.Errorf("KMS was asked %d times within the pause", n)
		}
	})
}

// A replica that has lost its approval changes nothing any more, although it has the key until it reads of it.
func TestUnapprovedChangesNothing(t *testing.T) {
	w := newWorld(t)
	a, _ := w.initialized()
	if err := a.ApproveConfig(t.Context(), digest(digestB), "next"); err != nil {
		t.Fatal(err)
	}
	b := w.restarted(Unsealed, func(o *Options) { o.ConfigDigest = digest(digestB) })
	if err := b.RevokeConfig(t.Context(), digest(digestA)); err != nil {
		t.Fatal(err)
	}
	before := string(w.stored())
	wantErr(t, "it approves itself", a.ApproveConfig(t.Context(), digest(digestA), "again"), ErrNotApproved)
	_, _, err := a.GenerateRootToken(t.Context(), 0)
	wantErr(t, "it makes a root token", err, ErrNotApproved)
	if string(w.stored()) != before {
		t.Error("the manifest has changed")
	}
}

// Zero means that shares are not tried: neither right after the unseal nor later.
func TestNoShareChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.initialized()
		c := w.replica(func(o *Options) { o.CheckInterval = 0 })
		defer w.run(c)()
		after(time.Second)
		w.in(c, Unsealed)
		asked := w.kms.calls.Load()
		after(24 * time.Hour)
		if n := w.kms.calls.Load() - asked; n != 0 {
			t.Errorf("KMS was asked %d times", n)
		}
		w.in(c, Unsealed)
	})
}
