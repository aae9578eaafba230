package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

const (
	// distance is how much later every answer of the distant server comes. What is sent to it is not held back.
	distance = 5 * time.Millisecond
	// targetDistant is how many round trips a vote may take among many.
	targetDistant = 0.1
)

// distant measures the running signer with a PostgreSQL server that is far away, where each round trip is felt.
type distant struct {
	site   site
	chain  chain
	keyDir string
	keys   []bls.PublicKey
	most   int // connections of the burst

	d      *database
	proxy  *rig.Toxiproxy
	name   string // of the database
	burst  *burst
	steady *phase

	atOnce, inTurn toll
}

func (f *distant) prepare(ctx context.Context) (err error) {
	f.proxy, err = rig.StartToxiproxy(ctx, ".")
	if errors.Is(err, rig.ErrNoToxiproxy) {
		return missingError{err}
	}
	if err != nil {
		return err
	}
	if f.d, err = startDatabase(ctx); err != nil {
		return err
	}
	if f.name, err = f.d.newCounted(ctx); err != nil {
		return err
	}
	between, err := f.proxy.Proxy(ctx, "delayed", f.d.Address())
	if err != nil {
		return err
	}
	late := rig.Toxic{Type: "latency", Stream: "downstream", Attributes: map[string]int{"latency": int(distance.Milliseconds())}}
	if err := between.Poison(ctx, late); err != nil {
		return err
	}
	f.site.database = f.d.PlainURL(between.Address, f.name)
	v, err := f.site.start(ctx, "signer-distant", f.keyDir, f.keys, false)
	if err != nil {
		return err
	}
	taken, err := scrape(ctx, v.metrics)
	n := min(f.most, int(taken.connections))
	f.burst = &burst{phase: phase{what: fmt.Sprintf("%d at once, %d connections", size, n), server: v, clients: n, batch: 1, shared: true}}
	f.steady = &phase{what: fmt.Sprintf("%d connections", connections), server: v, clients: connections, batch: 1, perRun: len(f.keys)}
	if err != nil {
		return err
	}
	// The first votes, which make the records.
	return f.steady.measure(ctx, f.chain, time.Second, new(sample))
}

func (f *distant) repeat(ctx context.Context, window time.Duration) error {
	err := f.watch(ctx, &f.atOnce, size, func() error { return f.burst.measure(ctx, f.chain) })
	if err != nil {
		return err
	}
	var s sample
	err = f.watch(ctx, &f.inTurn, f.steady.perRun, func() error { return f.steady.measure(ctx, f.chain, window/2, &s) })
	f.steady.runs = append(f.steady.runs, s)
	return err
}

// watch adds to t what the votes cost that load asks for.
func (f *distant) watch(ctx context.Context, t *toll, votes int, load func() error) error {
	before, err := f.d.statements(ctx, f.name)
	if err != nil {
		return err
	}
	if err := load(); err != nil {
		return err
	}
	after, err := f.d.statements(ctx, f.name)
	t.votes += votes
	t.statements += after - before
	return err
}

func (f *distant) report(t table) {
	t.note("the running signer with PostgreSQL %s, every answer of which is held back for %v:", f.d.version, distance)
	t.held("round trips for each vote, "+f.burst.what, "", f.atOnce.perVote(), targetDistant)
	t.note("    the server counted %d statements for %d votes; half answered after %.0f ms, the last after %.0f ms", f.atOnce.statements, f.atOnce.votes,
		micros(f.burst.after(0.5))/1000, micros(f.burst.after(1))/1000)
	t.held("round trips for each vote, "+f.steady.what, "", f.inTurn.perVote(), targetDistant)
	t.note("    the server counted %d statements for %d votes; %.0f signatures a second", f.inTurn.statements, f.inTurn.votes,
		median(f.steady.each(func(s sample) float64 { return float64(time.Second) / float64(s.wall) })))
}

func (f *distant) stop() error {
	var failures []error
	if f.burst != nil {
		failures = append(failures, f.burst.server.stop())
	}
	if f.proxy != nil {
		failures = append(failures, f.proxy.Terminate())
	}
	if f.d != nil {
		failures = append(failures, f.d.Stop())
	}
	return errors.Join(failures...)
}
