package wellknown

import "time"

// bucket holds what may be taken at once, and is filled again at a rate.
type bucket struct {
	rate, size float64 // per second; at most

	holds float64
	at    time.Time // when holds was true
}

func newBucket(rate, size float64, now time.Time) *bucket {
	return &bucket{rate: rate, size: size, holds: size, at: now}
}

// fill adds what has come since, and tells whether there is one to take.
func (b *bucket) fill(now time.Time) bool {
	if passed := now.Sub(b.at); passed > 0 {
		b.holds = min(b.size, b.holds+b.rate*passed.Seconds())
		b.at = now
	}
	return b.holds >= 1
}

// take takes one, if there is one.
func (b *bucket) take(now time.Time) bool {
	if !b.fill(now) {
		return false
	}
	b.holds--
	return true
}
