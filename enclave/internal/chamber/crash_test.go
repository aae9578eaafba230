package chamber

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

var errCrash = errors.New("the process is gone")

// crashing is a store and a KMS whose k-th call is the process's last. If done is set that call was done, and its answer lost.
type crashing struct {
	store.State
	done bool
	once bool // only the k-th call fails

	mu   sync.Mutex // held while the fields below are used
	left int        // calls before the crash
	hit  bool
}

// crash says whether this call is to be done, and whether it is to be answered.
func (x *crashing) crash() (do, answer bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.left--
	switch {
	case x.left > 0:
		return true, true
	case x.left == 0:
		x.hit = true
		return x.done, false
	}
	return x.once, x.once
}

func (x *crashing) Get(ctx context.Context, name string) (store.Item, error) {
	if do, answer := x.crash(); !do || !answer {
		return store.Item{}, fmt.Errorf("%w: %w", store.ErrUnavailable, errCrash)
	}
	return x.State.Get(ctx, name)
}

func (x *crashing) List(ctx context.Context) ([]store.Listed, error) {
	if do, answer := x.crash(); !do || !answer {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, errCrash)
	}
	return x.State.List(ctx)
}

func (x *crashing) Put(ctx context.Context, i store.Item) error {
	return x.lose(func() error { return x.State.Put(ctx, i) })
}

func (x *crashing) Delete(ctx context.Context, name string, version uint64) error {
	return x.lose(func() error { return x.State.Delete(ctx, name, version) })
}

func (x *crashing) lose(call func() error) error {
	do, answer := x.crash()
	if do {
		if err := call(); err != nil || answer {
			return err
		}
	}
	return fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, errCrash)
}

// operations, each of which must be done wholly or not at all, and can be asked for again by whoever comes next. They get a replica and say
// with check what is so when they are done.
func crashOperations() map[string]struct {
	prepare func(w *world) error // by a replica that does not crash
	do      func(ctx context.Context, c *Chamber) error
	check   func(c *Chamber) bool
} {
	type operation = struct {
		prepare func(w *world) error
		do      func(ctx context.Context, c *Chamber) error
		check   func(c *Chamber) bool
	}
	first := func(w *world) error { w.initialized(); return nil }
	return map[string]operation{
		"init": {
			func(*world) error { return nil },
			func(ctx context.Context, c *Chamber) error {
				_, err := c.Init(ctx, InitRequest{KeyARNs: arns(1, 2, 3), Threshold: 2, RootToken: crashToken})
				if errors.Is(err, ErrInitialized) {
					err = nil // what the operator sees when the answer was lost
				}
				return err
			},
			func(c *Chamber) bool { _, err := c.CheckRootToken(crashToken); return err == nil },
		},
		"rotate kms": {
			first,
			func(ctx context.Context, c *Chamber) error { return c.RotateKMS(ctx, arns(4, 5), 1) },
			func(c *Chamber) bool { return c.Status().Threshold == 1 && c.Status().Shares[0].KeyARN == arn(4) },
		},
		"rotate master key": {
			func(w *world) error {
				c, _ := w.initialized()
				return c.Freeze(w.t.Context(), [][48]byte{key(1)})
			},
			func(ctx context.Context, c *Chamber) error {
				return c.RotateMasterKey(ctx, func(context.Context) (int, error) { return 0, nil })
			},
			func(c *Chamber) bool {
				return c.Status().Generation >= 2 && c.Status().PreviousID == "" && c.Frozen(key(1)) && !c.Frozen(key(2))
			},
		},
		"freeze": {
			first,
			func(ctx context.Context, c *Chamber) error { return c.Freeze(ctx, [][48]byte{key(1)}) },
			func(c *Chamber) bool { return c.Frozen(key(1)) && !c.Frozen(key(2)) },
		},
		"seal": {
			first,
			func(ctx context.Context, c *Chamber) error { return c.SealChamber(ctx) },
			func(c *Chamber) bool { return c.Status().OperatorSeal },
		},
		"approve": {
			first,
			func(ctx context.Context, c *Chamber) error { return c.ApproveConfig(ctx, digest(digestB), "next") },
			func(c *Chamber) bool { return len(c.Status().Approved) == 2 },
		},
	}
}

const crashToken = RootTokenPrefix + "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ"

// TestCrashAnywhere ends the process at every call that it makes to the store and to KMS. A new one on the same store is in a whole state, and
// finishes what was asked for.
func TestCrashAnywhere(t *testing.T) {
	for name, op := range crashOperations() {
		for _, done := range []bool{false, true} {
			for _, once := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, done %t, once %t", name, done, once), func(t *testing.T) {
					points := 0
					for crashAt(t, op.prepare, op.do, op.check, points+1, done, once) {
						points++
					}
					if points < 3 {
						t.Errorf("only %d crash points", points)
					}
					t.Logf("%d crash points", points)
				})
			}
		}
	}
}

// lossy loses the answer to the first Put of the manifest, which was done or not.
type lossy struct {
	store.State
	done, lost bool
}

func (l *lossy) Put(ctx context.Context, i store.Item) error {
	if l.lost || i.Name != manifestName {
		return l.State.Put(ctx, i)
	}
	l.lost = true
	if l.done {
		if err := l.State.Put(ctx, i); err != nil {
			return err
		}
	}
	return store.ErrOutcomeUnknown
}

// One lost answer is not the operator's trouble.
func TestLostAnswer(t *testing.T) {
	for _, done := range []bool{false, true} {
		for name, op := range crashOperations() {
			w := newWorld(t)
			if err := op.prepare(w); err != nil {
				t.Fatal(err)
			}
			l := &lossy{State: w.state, done: done}
			c := w.replica(func(o *Options) { o.State, o.RefreshInterval = l, 0 })
			if err := errors.Join(c.Refresh(t.Context()), op.do(t.Context(), c)); err != nil || !l.lost || !op.check(c) {
				t.Errorf("%s, done %t: %v, %+v", name, done, err, c.Status())
			}
		}
	}
}

// crashAt says whether the operation came so far as its k-th call.
func crashAt(t *testing.T, prepare func(*world) error, do func(context.Context, *Chamber) error, check func(*Chamber) bool, k int, done, once bool) bool {
	t.Helper()
	w := newWorld(t)
	if err := prepare(w); err != nil {
		t.Fatal(err)
	}
	x := &crashing{State: w.state, done: done, once: once, left: k}
	crashed := w.replica(func(o *Options) { o.State, o.RefreshInterval = x, 0 })
	w.kms.breaks(func(context.Context, string, string) error {
		if do, answer := x.crash(); !do || !answer {
			return errCrash
		}
		return nil
	})
	if crashed.Refresh(t.Context()) == nil || once {
		if err := do(t.Context(), crashed); err == nil && !x.hit {
			return false
		}
	}
	w.kms.breaks(opFails("", "", nil))

	next := w.replica(func(o *Options) { o.RefreshInterval = 0 })
	if err := next.Refresh(t.Context()); err != nil {
		t.Fatalf("call %d: the next process: %v", k, err)
	}
	switch s := next.Status(); s.State {
	case Uninitialized, Sealed, Unsealed, AwaitingRotation:
		if s.State == Sealed && !s.OperatorSeal {
			t.Fatalf("call %d: the next process stays sealed: %s", k, s.Reason)
		}
		if s.State >= Unsealed && next.Ready() != nil {
			t.Fatalf("call %d: the next process: %v", k, next.Ready())
		}
	}
	if !check(next) {
		if err := do(t.Context(), next); err != nil {
			t.Fatalf("call %d: the next process cannot go on: %v", k, err)
		}
	}
	if last := w.replica(); last.Refresh(t.Context()) != nil || !check(last) {
		t.Fatalf("call %d: it is not done: %+v", k, last.Status())
	}
	crashed.tried.next = time.Time{} // its pause is over
	if once && (crashed.Refresh(t.Context()) != nil || !check(crashed) || !crashed.Status().OperatorSeal && crashed.Ready() != nil) {
		t.Fatalf("call %d: the one that lost an answer has not followed: %+v", k, crashed.Status())
	}
	return true
}
