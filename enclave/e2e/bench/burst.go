package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// burst is a slot of a large operator: one vote of each of many keys, all asked for at one moment.
type burst struct {
	phase
	raw  []time.Duration   // CPU time of one bare signature, mean of before and after, by run
	ends [][]time.Duration // when the votes were answered, since the burst began, in ascending order, by run
}

// size is how many keys vote in a slot: 100,000 validators over the 32 slots of an epoch.
const size = 3125

// measure makes one run.
func (b *burst) measure(ctx context.Context, c chain) error {
	b.perRun = size
	clients, err := b.server.connect(ctx, b.clients)
	defer disconnect(clients)
	if err != nil {
		return err
	}
	r, err := drive(clients, b.jobs(c))
	if err != nil {
		return b.server.explain(fmt.Errorf("%s: %w", b.what, err))
	}
	if err := r.verify(); err != nil {
		return fmt.Errorf("%s: %w", b.what, err)
	}
	b.ends = append(b.ends, slices.Sorted(slices.Values(r.ends)))
	return nil
}

// against is the time until the last answer as a multiple of the time that all CPUs take if they do nothing but sign, by run.
func (b *burst) against() (all []float64) {
	for i, ends := range b.ends {
		ideal := size * b.raw[i] / time.Duration(runtime.GOMAXPROCS(0))
		all = append(all, float64(ends[size-1])/float64(ideal))
	}
	return all
}

// after is the time until a share of the votes was answered, the median over the runs. A vote's wait for a free connection counts.
func (b *burst) after(share float64) time.Duration {
	var all []time.Duration
	for _, ends := range b.ends {
		all = append(all, ends[int(share*(size-1))])
	}
	return median(all)
}
