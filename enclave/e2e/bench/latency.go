package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// latency is one request at a time on one connection, beside bare signatures in this process.
type latency struct {
	phase
	over []time.Duration // median of a request minus median of a bare signature, by run
	raw  []time.Duration // the bare signature's
}

// blockOf is how many requests are made between two groups of bare signatures, so that noise hits both.
const blockOf = 16

// measure makes one run.
func (l *latency) measure(ctx context.Context, c chain, y *yardstick, window time.Duration) error {
	clients, err := l.server.connect(ctx, 1)
	defer disconnect(clients)
	if err != nil {
		return err
	}
	l.perRun = blockOf
	var requests, bare []time.Duration
	for end := time.Now().Add(window); time.Now().Before(end); {
		for range blockOf {
			took, err := y.alone()
			if err != nil {
				return err
			}
			bare = append(bare, took)
		}
		r, err := drive(clients, l.jobs(c))
		if err != nil {
			return l.server.explain(fmt.Errorf("%s: %w", l.what, err))
		}
		for i := range r.jobs {
			requests = append(requests, r.ends[i]-r.starts[i])
		}
		if len(bare) == blockOf { // verifying every block would cool the caches of what is measured
			if err := r.verify(); err != nil {
				return fmt.Errorf("%s: %w", l.what, err)
			}
		}
	}
	l.raw = append(l.raw, median(bare))
	l.over = append(l.over, median(requests)-median(bare))
	return nil
}

// median of a list that is not empty; it sorts a copy.
func median[T ~int64 | ~float64](of []T) T {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}
