package filesystem

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// KDFMemory bounds the memory that all key derivations of the process take at once: whoever opens keystores shares one. Who came
// first is served first, so that a large one waits for those before it and not for those after it. It is safe for concurrent use.
//
// It counts whole MiB and drops the rest, so that a limit of 256 MiB is enough for the usual scrypt, which takes that and 3 KiB.
type KDFMemory struct {
	memory  int64 // bytes that percent is of
	percent int
	limit   int64 // MiB
	free    *semaphore.Weighted
	garbage atomic.Int64 // MiB that derivations have left since the last collection
}

// NewKDFMemory allows percent, 0 to 100, of memory, which is in bytes.
func NewKDFMemory(percent int, memory int64) *KDFMemory {
	limit := max(memory>>10*int64(percent)/100>>10, 0)
	return &KDFMemory{memory: memory, percent: percent, limit: limit, free: semaphore.NewWeighted(limit)}
}

// Limit is the most that derivations take together, in bytes.
func (m *KDFMemory) Limit() int64 { return m.limit << 20 }

// run calls derive, which allocates so many bytes, when they are free. What would never be free is refused.
func (m *KDFMemory) run(ctx context.Context, bytes int64, derive func() ([]byte, error)) ([]byte, error) {
	mib := bytes >> 20
	if mib > m.limit {
		return nil, fmt.Errorf("its key derivation needs %d MiB of memory, and all together may take %d MiB: that is key_sources.filesystem.kdf_memory_percent (%d) of %d MiB",
			mib, m.limit, m.percent, m.memory>>20)
	}
	if mib == 0 { // takes nothing that it would have to wait for
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return derive()
	}
	if err := m.free.Acquire(ctx, mib); err != nil {
		return nil, fmt.Errorf("wait for %d MiB of memory: %w", mib, err)
	}
	defer m.free.Release(mib)
	derived, err := derive()
	m.collect(mib)
	return derived, err
}

// collect gives back what a derivation has left, before others may count on it: the runtime by itself would let the heap grow to
// twice what is in use first. Small ones share a collection, so that an eighth of the limit may be garbage beside what is in use.
func (m *KDFMemory) collect(mib int64) {
	if m.garbage.Add(mib) > m.limit/8 {
		m.garbage.Store(0)
		runtime.GC()
	}
}
