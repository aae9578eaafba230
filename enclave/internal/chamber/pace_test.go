package chamber

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// counting is a store that counts reads of the manifest, and is away when it is told to.
type counting struct {
	store.State
	reads *atomic.Int64
	away  *atomic.Bool
}

func (c counting) Get(ctx context.Context, name string) (store.Item, error) {
	c.reads.Add(1)
	if c.away.Load() {
		return store.Item{}, store.ErrUnavailable
	}
	return c.State.Get(ctx, name)
}

// A failure of KMS that is over does not drive reads of a store that fails at once.
func TestPaceOfReads(t *testing.T) {
	for name, interval := range map[string]time.Duration{"every second": time.Second, "every 20 s": 20 * time.Second, "never": 0} {
		for what, fails := range map[string]func(w *world, c *Chamber, s counting, token string){
			"unsealed by an operator, then the store is away": func(w *world, c *Chamber, s counting, token string) {
				w.kms.denies()
				if err := c.Unseal(w.t.Context(), token); err != nil {
					w.t.Fatal(err)
				}
				w.in(c, Unsealed)
				s.away.Store(true)
			},
			"still sealed, then the store is away": func(_ *world, _ *Chamber, s counting, _ string) { s.away.Store(true) },
			"still sealed, then a corrupt manifest": func(w *world, _ *Chamber, _ counting, _ string) {
				w.put([]byte("garbage"))
			},
		} {
			t.Run(what+", read "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					_, r := w.initialized()
					w.kms.denies(arn(1), arn(2))
					s := counting{w.state, &atomic.Int64{}, &atomic.Bool{}}
					c := w.replica(func(o *Options) { o.State, o.RefreshInterval = s, interval })
					defer w.run(c)()
					after(time.Millisecond)
					w.in(c, Sealed)
					fails(w, c, s, r.RootToken)
					after(time.Minute) // any pause of KMS is over
					before := s.reads.Load()
					after(10 * time.Minute)
					n, most := s.reads.Load()-before, int64(10*60*10/45+1)
					if interval == time.Second {
						most = 10*60 + 1
					}
					if n > most || n == 0 && interval != 0 {
						t.Errorf("%d reads in ten minutes, want at most %d", n, most)
					}
				})
			})
		}
	}
}

// An operator's unseal ends the pause that KMS's failures began: nothing is waiting for it any more.
func TestUnsealEndsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first, r := w.initialized(func(o *Options) { o.RefreshInterval = 0 })
		w.kms.denies(arn(1), arn(2))
		c := w.replica()
		for range 20 { // the pauses grow
			if c.Refresh(t.Context()) == nil {
				t.Fatal("unsealed without KMS")
			}
			after(5 * time.Second)
		}
		if c.Refresh(t.Context()) == nil {
			t.Fatal("unsealed without KMS")
		}
		w.kms.denies()
		if err := c.Unseal(t.Context(), r.RootToken); err != nil {
			t.Fatal(err)
		}
		if err := first.RotateMasterKey(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Refresh(t.Context()); err != nil {
			t.Errorf("it does not follow: %v", err)
		}
	})
}
