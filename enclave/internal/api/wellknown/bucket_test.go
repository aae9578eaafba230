package wellknown

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBucket(10, 3, now)
	taken := func(n int) (got int) {
		for range n {
			if b.take(now) {
				got++
			}
		}
		return got
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 3}, {0, 0}, {50 * time.Millisecond, 0}, {60 * time.Millisecond, 1}, {time.Hour, 3}, {-time.Hour, 0}, {time.Hour + 100*time.Millisecond, 1}} {
		now = now.Add(step.after)
		if got := taken(5); got != step.want {
			t.Errorf("after %v: %d taken, want %d", step.after, got, step.want)
		}
	}
}
