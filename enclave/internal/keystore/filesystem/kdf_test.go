package filesystem

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const mib = 1 << 20

// derivation is one of a made-up size that ends when it is told to.
type derivation struct {
	bytes int64
	began bool
	end   chan struct{}
	err   chan error
}

func (m *KDFMemory) start(ctx context.Context, bytes int64) *derivation {
	d := &derivation{bytes: bytes, end: make(chan struct{}), err: make(chan error, 1)}
	go func() {
		_, err := m.run(ctx, bytes, func() ([]byte, error) {
			d.began = true
			<-d.end
			return nil, nil
		})
		d.err <- err
	}()
	synctest.Wait()
	return d
}

func (d *derivation) finish(t *testing.T) {
	t.Helper()
	close(d.end)
	if err := <-d.err; err != nil {
		t.Errorf("derivation of %d bytes: %v", d.bytes, err)
	}
	synctest.Wait()
}

// TestALargeDerivationIsNotPassedBy: those that come later wait behind it, even where there is room for them, or it would wait
// for as long as small ones come.
func TestALargeDerivationIsNotPassedBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewKDFMemory(100, 4*mib)
		first := m.start(t.Context(), 3*mib)
		large := m.start(t.Context(), 4*mib)
		small := m.start(t.Context(), mib)
		none := m.start(t.Context(), mib-1)
		if !first.began || large.began || small.began || !none.began {
			t.Fatalf("began: first %t, large %t, small %t, none %t", first.began, large.began, small.began, none.began)
		}
		first.finish(t)
		if !large.began || small.began {
			t.Fatalf("after the first: large %t, small %t", large.began, small.began)
		}
		large.finish(t)
		if !small.began {
			t.Fatal("the small one did not follow the large one")
		}
		small.finish(t)
		none.finish(t)
	})
}

// TestWhoGivesUpMakesRoom for those who waited behind.
func TestWhoGivesUpMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewKDFMemory(100, 4*mib)
		first := m.start(t.Context(), 3*mib)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		large := m.start(ctx, 4*mib)
		small := m.start(t.Context(), mib)
		if err := <-large.err; !errors.Is(err, context.DeadlineExceeded) || err.Error() != "wait for 4 MiB of memory: context deadline exceeded" {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		if large.began || !small.began {
			t.Errorf("began: large %t, small %t", large.began, small.began)
		}
		for _, bytes := range []int64{0, mib} {
			if err := <-m.start(ctx, bytes).err; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%d bytes with a context that has ended: %v", bytes, err)
			}
		}
		small.finish(t)
		first.finish(t)
	})
}

// TestTheLimitHolds for any order of sizes, and no room is lost on the way, derivations that fail included.
func TestTheLimitHolds(t *testing.T) {
	m := NewKDFMemory(50, 16*mib)
	var mu sync.Mutex
	var now, most int64
	var g sync.WaitGroup
	for n := range int64(64) {
		g.Go(func() {
			bytes := n % 9 * mib
			_, err := m.run(t.Context(), bytes, func() ([]byte, error) {
				mu.Lock()
				now += bytes
				most = max(most, now)
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				now -= bytes
				mu.Unlock()
				if n%2 == 0 {
					return nil, errPassword
				}
				return nil, nil
			})
			if (n%2 == 0) != errors.Is(err, errPassword) {
				t.Errorf("derivation %d: %v", n, err)
			}
		})
	}
	g.Wait()
	if most > m.Limit() || most == 0 {
		t.Errorf("%d bytes at once, the limit is %d", most, m.Limit())
	}
	if !m.free.TryAcquire(8) {
		t.Error("not all memory was given back")
	}
}

func TestLimit(t *testing.T) {
	for _, tc := range []struct {
		percent       int
		memory, limit int64
	}{
		{25, 1 << 30, 256 * mib}, // enough for the usual scrypt
		{25, 1<<30 - 1, 255 * mib},
		{90, 64 << 30, 58982 * mib},
		{90, 1 << 62, 1 << 62 / 100 * 90 >> 20 << 20},
		{0, 1 << 30, 0},
		{25, 0, 0},
		{25, -1 << 40, 0},
	} {
		if got := NewKDFMemory(tc.percent, tc.memory).Limit(); got/mib != tc.limit/mib {
			t.Errorf("%d %% of %d: %d, want %d", tc.percent, tc.memory, got, tc.limit)
		}
	}
	usual := kdfParams{N: 262144, R: 8, P: 1}
	if _, err := NewKDFMemory(25, 1<<30).run(t.Context(), usual.memory("scrypt"), func() ([]byte, error) { return nil, nil }); err != nil {
		t.Errorf("the usual scrypt in a quarter of 1 GiB: %v", err)
	}
	_, err := NewKDFMemory(25, 1023*mib).run(t.Context(), usual.memory("scrypt"), func() ([]byte, error) { return nil, nil })
	const want = "its key derivation needs 256 MiB of memory, and all together may take 255 MiB: that is key_sources.filesystem.kdf_memory_percent (25) of 1023 MiB"
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}

// TestMemoryIsWhatScryptAllocates, to within what small allocations are rounded up by.
func TestMemoryIsWhatScryptAllocates(t *testing.T) {
	for _, p := range []kdfParams{{N: 1 << 14, R: 8, P: 1}, {N: 2, R: 1, P: 1 << 15}, {N: 2, R: 1 << 15, P: 1}, {N: 1 << 10, R: 8, P: 16}} {
		p.Salt = []byte("salt")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := p.derive("scrypt", []byte("password")); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		got, want := int64(after.TotalAlloc-before.TotalAlloc), p.memory("scrypt")
		if got < want || got > want+want/8+64<<10 {
			t.Errorf("n=%d r=%d p=%d: %d bytes, want %d", p.N, p.R, p.P, got, want)
		}
	}
}

// TestWhatDerivationsLeaveIsCollected before others may use the memory: here by nobody else, as the runtime's own collections are off.
func TestWhatDerivationsLeaveIsCollected(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m := NewKDFMemory(100, 64*mib)
	p := kdfParams{N: 1 << 15, R: 8, P: 1, Salt: []byte("salt")} // 32 MiB
	for range 4 {
		if _, err := m.run(t.Context(), p.memory("scrypt"), func() ([]byte, error) { return p.derive("scrypt", []byte("password")) }); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if left := int64(after.HeapAlloc) - int64(before.HeapAlloc); left > 16*mib {
		t.Errorf("%d MiB of garbage are left", left/mib)
	}
	collections := after.NumGC
	for range 16 { // so small that they share one collection
		_, _ = m.run(t.Context(), mib, func() ([]byte, error) { return nil, nil })
	}
	runtime.ReadMemStats(&after)
	if n := after.NumGC - collections; n != 1 {
		t.Errorf("%d collections for 16 small derivations, want 1", n)
	}
}
