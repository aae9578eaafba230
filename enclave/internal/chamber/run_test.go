package chamber

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
)

// run runs a chamber until the test ends, or until stop is called.
func (w *world) run(c *Chamber) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}
}

// after lets virtual time pass.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// Two replicas that run: what one does the other has within two refresh intervals.
func TestReplicasFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.replica(), w.replica()
		defer w.run(a)()
		defer w.run(b)()
		after(time.Second)
		w.in(b, Uninitialized)
		r, err := a.Init(t.Context(), InitRequest{KeyARNs: arns(1, 2, 3), Threshold: 2})
		if err != nil {
			t.Fatal(err)
		}
		blob := sealed(t, a)
		after(2 * time.Second)
		works(t, b, blob)
		if err := b.Freeze(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Second)
		if !a.Frozen(key(1)) {
			t.Error("the freeze was not seen")
		}
		if err := a.RotateKMS(t.Context(), arns(4, 5), 2); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Second)
		if h := b.Status().Shares; len(h) != 2 || !h[0].OK || !h[1].OK || h[0].KeyARN != arn(4) {
			t.Errorf("the new shares were not tried: %+v", h)
		}
		if err := b.RotateMasterKey(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Second)
		w.in(a, Unsealed)
		works(t, a, sealed(t, b))
		if a.Status().ChamberID == r.ChamberID {
			t.Error("the new master key was not seen")
		}
		if err := a.SealChamber(t.Context()); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Second)
		w.in(b, Sealed)
		if err := b.Unseal(t.Context(), r.RootToken); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Second)
		w.in(a, Unsealed)
	})
}

// Without a threshold of shares KMS is asked again, with longer and longer pauses; a new manifest does not end the pause.
func TestUnsealRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		good, _ := w.initialized()
		w.kms.denies(arn(1), arn(2))
		c := w.replica()
		stop := w.run(c)
		defer func() { stop() }()
		asked := w.kms.calls.Load()
		after(10 * time.Minute)
		if n := (w.kms.calls.Load() - asked) / 3; n < 10 || n > 60 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		w.in(c, Sealed)
		w.kms.denies()
		after(40 * time.Second)
		w.in(c, Unsealed)
		stop()
		w.in(c, Sealed)

		w.kms.denies(arn(1), arn(2))
		c = w.replica()
		stop = w.run(c)
		after(10 * time.Minute)
		w.in(c, Sealed)
		w.kms.denies(arn(1))
		if err := good.RotateKMS(t.Context(), arns(2, 3), 1); err != nil {
			t.Fatal(err)
		}
		after(40 * time.Second)
		w.in(c, Unsealed)
	})
}

// A broken key policy shows while the chamber is still unsealed, and not at the next start.
func TestSharesAreTriedHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.initialized()
		c := w.replica(func(o *Options) { o.RefreshInterval = time.Minute })
		defer w.run(c)()
		ok := func(share string) float64 { return testutil.ToFloat64(c.metrics.shares.WithLabelValues(share)) }
		after(time.Minute)
		for _, h := range c.Status().Shares {
			if !h.OK || h.Checked.IsZero() {
				t.Errorf("not tried after the unseal: %+v", h)
			}
		}
		w.kms.denies(arn(2))
		after(50 * time.Minute)
		if ok("2") != 1 {
			t.Error("tried before the hour")
		}
		after(20 * time.Minute)
		if ok("1") != 1 || ok("2") != 0 || ok("3") != 1 {
			t.Errorf("containment_kms_share_ok: %v, %v, %v", ok("1"), ok("2"), ok("3"))
		}
		w.in(c, Unsealed)
		w.kms.breaks(func(_ context.Context, _, a string) error {
			if a != arn(1) {
				return fmt.Errorf("%w: pending deletion", kms.ErrDisabled)
			}
			return nil
		})
		after(2 * time.Hour)
		if ok("1") != 1 || ok("3") != 0 {
			t.Errorf("containment_kms_share_ok: %v, %v", ok("1"), ok("3"))
		}
		w.in(c, Unsealed)
		w.kms.denies()
		after(2 * time.Hour)
		if ok("2") != 1 || ok("3") != 1 {
			t.Error("a share that is well again does not count as such")
		}
	})
}

func TestStopWipes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c, r := w.initialized()
		stop := w.run(c)
		after(time.Second)
		held := c.view.Load().keys.now
		stop()
		if err := held.master.Use(func([]byte) error { return nil }); err == nil {
			t.Error("the master key is still in memory")
		}
		wantErr(t, "Refresh", c.Refresh(t.Context()), ErrSealed)
		wantErr(t, "Unseal", c.Unseal(t.Context(), r.RootToken), ErrSealed)
		w.in(c, Sealed)
	})
}

// Without refreshes the chamber still unseals at the start, whatever it has to wait for.
func TestRunWithoutRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.initialized()
		w.kms.denies(arn(1), arn(2))
		c := w.replica(func(o *Options) { o.RefreshInterval = 0 })
		defer w.run(c)()
		after(time.Minute)
		w.in(c, Sealed)
		w.kms.denies()
		after(time.Minute)
		w.in(c, Unsealed)
		c.mu.Lock()
		c.o.State = unreachable{w.state}
		c.mu.Unlock()
		after(time.Hour)
		if s := c.Status(); s.Unreachable != "" {
			t.Errorf("it was read again: %s", s.Unreachable)
		}
		sealed(t, c)
	})
}
