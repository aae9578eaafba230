package health

import (
	"context"
	"time"
)

// refresh is the time between two looks at all parts. A look costs the slashing store one empty transaction.
const refresh = 10 * time.Second

// staleAfter is the age at which an outcome no longer counts: a part that hangs beyond its deadline must not look healthy.
const staleAfter = 3 * refresh

// outcome is what the parts said at one time. Start and end of the process are not among them: they are known at any time.
type outcome struct {
	up bool
	at time.Time
}

// Run looks at all parts again and again, so that Healthy has an answer at hand.
func (h *Health) Run(ctx context.Context) error {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		h.judge(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// judge asks all parts and remembers whether the checks are up.
func (h *Health) judge(ctx context.Context) []result {
	results := h.ask(ctx, func(Check) bool { return true })
	if ctx.Err() == nil { // a caller that hung up in between says nothing about the parts
		h.latest.Store(&outcome{allUp(results[1:]), time.Now()}) // the first is boot
	}
	return results
}

// Healthy says what /healthcheck would answer, with the parts as of the last look. It asks nobody and never waits.
func (h *Health) Healthy() bool {
	last := h.latest.Load()
	return last != nil && last.up && time.Since(last.at) < staleAfter && h.boot().Status == up
}
