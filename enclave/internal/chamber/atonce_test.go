package chamber

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// slow is a store that answers late, or never: as long as its callers wait.
type slow struct {
	store.State
	reads, writes time.Duration
}

const never = 365 * 24 * time.Hour

func (s slow) Get(ctx context.Context, name string) (store.Item, error) {
	if err := late(ctx, s.reads); err != nil {
		return store.Item{}, err
	}
	return s.State.Get(ctx, name)
}

func (s slow) Put(ctx context.Context, i store.Item) error {
	if err := late(ctx, s.writes); err != nil {
		return errors.Join(store.ErrOutcomeUnknown, err)
	}
	return s.State.Put(ctx, i)
}

func late(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// slowStores are the ways in which one is slow.
func slowStores(of store.State) map[string]slow {
	return map[string]slow{
		"writes hang":      {of, 0, never},
		"reads hang":       {of, never, 0},
		"all hangs":        {of, never, never},
		"writes are late":  {of, 0, storeLimit / 2},
		"all is late":      {of, storeLimit / 2, storeLimit / 2},
		"reads are slower": {of, storeLimit - 1, 0},
	}
}

// A seal holds on the replica that is asked from the moment it is, however slow the store is.
func TestSealAtOnce(t *testing.T) {
	for name := range slowStores(nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c, r := w.initialized()
				blob := sealed(t, c)
				held := c.view.Load().keys.now
				s := slowStores(w.state)[name]
				c.o.State = s
				began, changed := time.Now(), c.Changed()
				ended := make(chan error, 1)
				go func() { ended <- c.SealChamber(t.Context()) }()
				synctest.Wait()
				for { // until it has ended: what refreshes and reads show meanwhile does not count
					isSealed(t, c, blob)
					if len(ended) > 0 {
						break
					}
					after(time.Second)
				}
				select {
				case <-changed:
				default:
					t.Error("nobody was told")
				}
				if err, lost := <-ended, s.reads == never || s.writes == never; (err != nil) != lost || lost && !strings.Contains(err.Error(), "this replica is sealed") {
					t.Errorf("after %s: %v", time.Since(began), err)
				}
				if held.master.Use(func([]byte) error { return nil }) == nil {
					t.Error("the master key is still in memory")
				}
				c.o.State = w.state
				if err := errors.Join(c.Unseal(t.Context(), r.RootToken), c.Sealed(), c.Ready()); err != nil {
					t.Fatal(err)
				}
				works(t, c, blob)
			})
		})
	}
}

// isSealed fails the test if the chamber does anything.
func isSealed(t *testing.T, c *Chamber, blob []byte) {
	t.Helper()
	_, open := c.Open("key", "k1", 7, blob)
	_, seal := c.Seal("key", "k2", 1, nil)
	for what, err := range map[string]error{"Sealed": c.Sealed(), "Open": open, "Seal": seal} {
		wantErr(t, what, err, ErrSealed, "by an operator")
	}
	if s := c.Status(); s.State != Sealed || !s.OperatorSeal || c.Ready() == nil || c.Unsealed() != "" || c.Current(blob) || !c.Frozen(key(1)) {
		t.Errorf("not sealed: %+v; Ready: %v, Unsealed: %s, Current %t, Frozen %t", s, c.Ready(), c.Unsealed(), c.Current(blob), c.Frozen(key(1)))
	}
	if got := testutil.ToFloat64(c.metrics.states.WithLabelValues(Sealed.String())); got != 1 {
		t.Errorf("containment_signer_state{state=sealed} is %v", got)
	}
}

// A rebuild of the key that ends while a seal is being recorded does not bring it back.
func TestSealAtOnceWhileRebuilding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first, _ := w.initialized()
		blob := sealed(t, first)
		c := w.replica()
		show := c.hideKeys()
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		isSealed(t, c, blob)
		changed := c.Changed()
		show()
		select {
		case <-changed:
		default:
			t.Error("nobody was told that the key is there")
		}
		w.in(c, Unsealed)
		works(t, c, blob)
	})
}

// Where there is nothing to seal nothing stays sealed.
func TestSealWithoutChamber(t *testing.T) {
	w := newWorld(t)
	c := w.replica()
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "seal", c.SealChamber(t.Context()), ErrUninitialized)
	w.in(c, Uninitialized)
	if _, err := c.Init(t.Context(), InitRequest{KeyARNs: arns(1, 2, 3), Threshold: 2}); err != nil {
		t.Fatal(err)
	}
	w.in(c, Unsealed)
	sealed(t, c)
}

// A freeze holds on the replica that is asked from the moment it is, however slow the store is.
func TestFreezeAtOnce(t *testing.T) {
	for name := range slowStores(nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				c, _ := w.initialized()
				s := slowStores(w.state)[name]
				c.o.State = s
				ended := make(chan error, 1)
				go func() { ended <- c.Freeze(t.Context(), [][48]byte{key(1)}) }()
				synctest.Wait()
				if status := c.Status(); len(ended) > 0 || !strings.Contains(status.Reason, "is being recorded") {
					t.Errorf("status %+v", status)
				}
				for {
					if !c.Frozen(key(1)) || c.Frozen(key(2)) {
						t.Errorf("frozen %t, %t", c.Frozen(key(1)), c.Frozen(key(2)))
					}
					if len(ended) > 0 {
						break
					}
					after(time.Second)
				}
				lost := s.reads == never || s.writes == never
				if err := <-ended; (err != nil) != lost || lost && !strings.Contains(err.Error(), "on this replica alone") {
					t.Error(err)
				}
				if alone := strings.Contains(c.Status().Reason, "this replica alone"); alone != lost {
					t.Errorf("status %+v", c.Status())
				}
			})
		})
	}
}

// A freeze that is refused leaves what was frozen before, and what others are freezing at the time.
func TestRefusedFreezeLeavesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c, _ := w.initialized()
		c.o.State = slow{w.state, 0, never}
		wantErr(t, "freeze", c.Freeze(t.Context(), [][48]byte{key(1)}), store.ErrOutcomeUnknown)
		under := c.freezeHere([][48]byte{key(2)})
		many := make([][48]byte, MaxFrozen+1)
		for i := range many {
			many[i] = key(i + 1)
		}
		wantErr(t, "too many", c.Freeze(t.Context(), many), ErrInvalid)
		if got := [3]bool{c.Frozen(key(1)), c.Frozen(key(2)), c.Frozen(key(3))}; got != [3]bool{true, true, false} {
			t.Errorf("frozen %v", got)
		}
		c.settleHere(under, false)
		if !c.Frozen(key(1)) || c.Frozen(key(2)) {
			t.Errorf("frozen %t, %t", c.Frozen(key(1)), c.Frozen(key(2)))
		}
	})
	empty := newWorld(t).replica()
	if err := empty.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "without a chamber", empty.Freeze(t.Context(), nil), ErrUninitialized)
	if empty.here.Load() != nil {
		t.Error("something is frozen in a chamber that is not there")
	}
}

// A read that hangs holds up whoever writes the signer state, and neither a seal nor a freeze.
func TestAtOnceBehindARead(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	blob := sealed(t, c)
	var calls sync.WaitGroup
	c.mu.Lock() // as the read does
	calls.Go(func() {
		if err := c.Freeze(t.Context(), [][48]byte{key(1)}); err != nil && !errors.Is(err, ErrSealed) { // whichever is first
			t.Error(err)
		}
	})
	await(t, "the freeze", func() bool { return c.Frozen(key(1)) })
	if c.Frozen(key(2)) {
		t.Error("another key is frozen")
	}
	calls.Go(func() {
		if err := c.SealChamber(t.Context()); err != nil && !errors.Is(err, ErrSealed) {
			t.Error(err)
		}
	})
	await(t, "the seal", func() bool { return c.Sealed() != nil })
	isSealed(t, c, blob)
	c.mu.Unlock()
	calls.Wait()
	isSealed(t, c, blob)
}

// await fails the test if something is not so soon.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	end, tick := time.After(20*time.Second), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-end:
			t.Errorf("%s does not hold", what)
			return
		}
	}
}
