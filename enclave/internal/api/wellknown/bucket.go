package wellknown

import (
	"sync"
	"time"
)

// bucket holds what may be taken at once, and is filled again at a rate.
type bucket struct {
	rate, size float64 // per second; at most

	mu    sync.Mutex
	holds float64
	at    time.Time // when holds was true
}

func newBucket(rate, size float64, now time.Time) *bucket {
	return &bucket{rate: rate, size: size, holds: size, at: now}
}

// take takes one, if there is one.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.at); passed > 0 {
		b.holds = min(b.size, b.holds+b.rate*passed.Seconds())
		b.at = now
	}
	if b.holds < 1 {
		return false
	}
	b.holds--
	return true
}
