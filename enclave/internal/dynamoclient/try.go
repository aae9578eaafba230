package dynamoclient

import (
	"context"
	"math/rand/v2"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// Try sends a request once, when fewer than Concurrency are under way, and says what became of it. Share is how much it gets of the time
// that ctx leaves; it gets no more than the Timeout, and is not sent if that is less than the shortest time that is worth it.
func (t *Table) Try(
	ctx context.Context, share func(left time.Duration) time.Duration, shortest time.Duration, request func(context.Context) error,
) (Fate, error) {
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return TooLate, ctx.Err()
	}
	limit := t.timeout
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, share(time.Until(end)))
	}
	if limit < shortest {
		return TooLate, context.DeadlineExceeded
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var connected atomic.Bool
	err := request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	return judge(err, connected.Load()), err
}

// Pause waits before something is tried again, a little longer at each try, up to half a second. It is false if ctx ends before.
func Pause(ctx context.Context, tries int) bool {
	most := min(20*time.Millisecond<<min(tries, 5), 500*time.Millisecond)
	timer := time.NewTimer(rand.N(most)) //nolint:gosec // jitter is no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
