package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// latencies are the medians and 99th percentiles of the repeats, in seconds.
type latencies struct{ p50, p99 []float64 }

// requestsPerSecond is what all connections together ask: few enough that nothing queues, so that what is seen is the relay.
const requestsPerSecond = 1000

// direct names the figures without a relay.
const direct = "direct"

// latency measures round trips over n connections, without a relay and through each.
func (o options) latency(ctx context.Context, s *server, all []contestant, n int, figures map[string]latencies) error {
	if err := o.roundTrips(ctx, direct, s.path, n, figures); err != nil {
		return err
	}
	for _, c := range all {
		r, err := c.run(ctx)
		if err != nil {
			return err
		}
		err = o.roundTrips(ctx, c.name, r.address, n, figures)
		if _, stopped := r.stop(); err != nil || stopped != nil {
			return errors.Join(err, stopped)
		}
	}
	return nil
}

func (o options) roundTrips(ctx context.Context, name, address string, n int, figures map[string]latencies) error {
	took := make([][]time.Duration, n)
	errs := make([]error, n)
	open := make([]client, n)
	for i := range n {
		if open[i], errs[i] = dial(ctx, address); errs[i] != nil {
			return fmt.Errorf("%s: connection %d: %w", name, i, errs[i])
		}
	}
	began := time.Now()
	end := began.Add(o.window)
	var all sync.WaitGroup
	every := time.Second * time.Duration(n) / requestsPerSecond
	for i := range n {
		all.Go(func() {
			due := began.Add(every * time.Duration(i) / time.Duration(n))
			for b := make([]byte, size); due.Before(end) && errs[i] == nil; due = due.Add(every) {
				<-time.After(time.Until(due))
				asked := time.Now()
				errs[i] = open[i].ask(b)
				took[i] = append(took[i], time.Since(asked))
			}
		})
	}
	all.Wait()
	for _, c := range open {
		_ = c.Close()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	sorted := slices.Sorted(slices.Values(slices.Concat(took...)))
	f := figures[name]
	f.p50 = append(f.p50, sorted[len(sorted)/2].Seconds())
	f.p99 = append(f.p99, sorted[len(sorted)*99/100].Seconds())
	figures[name] = f
	return nil
}
