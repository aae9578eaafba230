package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// How many keys the servers hold.
const (
	fewKeys  = 1_000
	manyKeys = 10_000
)

// Targets, as multiples of the bare signature where nothing else is said.
const (
	targetPlain    = 1.35
	targetAttested = 1.6
	targetBatch    = 0.65
	targetBurst    = 1.5  // of the time that signing alone takes on all CPUs
	targetOutside  = 150. // microseconds
	targetGC       = 5.   // percent
	targetMemory   = 2.   // KiB for each key
)

// plan is everything that is measured.
type plan struct {
	options
	site     site
	progress io.Writer
	chain    chain
	yard     *yardstick
	servers  []*server
	phases   []*phase
	delays   []*latency
	bursts   []*burst
	sections []*section
	raw      []time.Duration // every reading of the yardstick

	empty     int64   // bytes of resident memory with one key
	many      int64   // with manyKeys
	disturbed float64 // share of the machine's CPU time that went to strangers
}

// prepare makes keys, starts servers and lets each key vote once.
func (p *plan) prepare(ctx context.Context) (err error) {
	if p.chain, err = newChain(); err != nil {
		return err
	}
	if p.yard, err = newYardstick(); err != nil {
		return err
	}
	p.tell("making %d keys", manyKeys)
	fewDir := p.keyDir(fewKeys)
	few, err := writeKeys(fewDir, fewKeys)
	if err != nil {
		return err
	}
	if p.has("memory") {
		if err := p.measureEmpty(ctx); err != nil {
			return err
		}
	}
	if p.has("plain") || p.has("latency") || p.has("batches") {
		v, err := p.start(ctx, "signer", fewDir, few, false)
		if err != nil {
			return err
		}
		p.planPlain(v)
	}
	if p.has("attested") || p.has("latency") {
		v, err := p.start(ctx, "split", fewDir, few, true)
		if err != nil {
			return err
		}
		p.planAttested(v)
	}
	if err := p.prepareMany(ctx); err != nil {
		return err
	}
	return p.warm(ctx)
}

func (p *plan) keyDir(n int) string { return filepath.Join(p.site.dir, fmt.Sprintf("keys-%d", n)) }

func (p *plan) tell(format string, args ...any) { _, _ = fmt.Fprintf(p.progress, format+"\n", args...) }

func (p *plan) start(ctx context.Context, name, dir string, keys []bls.PublicKey, split bool) (*server, error) {
	p.tell("starting %s with %d keys", name, len(keys))
	v, err := p.site.start(ctx, name, dir, keys, split)
	if err != nil {
		return nil, err
	}
	p.servers = append(p.servers, v)
	return v, nil
}

// measureEmpty measures the memory of a signer with one key; without any it does not become ready.
func (p *plan) measureEmpty(ctx context.Context) error {
	keys, err := writeKeys(p.keyDir(1), 1)
	if err != nil {
		return err
	}
	v, err := p.site.start(ctx, "signer-empty", p.keyDir(1), keys, false)
	if err != nil {
		return err
	}
	p.empty, err = settledMemory(ctx, v)
	return errors.Join(err, v.stop())
}

// prepareMany prepares what needs many keys, and the parts, one of which does.
func (p *plan) prepareMany(ctx context.Context) error {
	dir := p.keyDir(manyKeys)
	keys, err := writeKeys(dir, manyKeys)
	if err != nil {
		return err
	}
	p.planParts(dir, keys)
	if !p.has("plain") && !p.has("memory") && !p.has("burst") {
		return nil
	}
	v, err := p.start(ctx, "signer-many", dir, keys, false)
	if err != nil {
		return err
	}
	if p.has("memory") {
		if p.many, err = settledMemory(ctx, v); err != nil {
			return err
		}
	}
	if p.has("plain") {
		p.add(phase{what: "ATTESTATION, 10,000 keys, every message its own", server: v, target: targetPlain})
		p.add(phase{what: "ATTESTATION, 10,000 keys, one message for all", server: v, shared: true, target: targetPlain})
	}
	if p.has("burst") {
		return p.planBurst(ctx, v)
	}
	return nil
}

func (p *plan) planParts(dir string, keys []bls.PublicKey) {
	at := func(name string) string { return filepath.Join(p.site.dir, name) }
	for _, s := range []*section{
		{name: "handshake", part: &handshakes{dir: at("handshake"), chain: p.chain}},
		{name: "rotation", part: &rotations{dir: at("rotation"), chain: p.chain, size: connections, repeats: p.repeats}},
		{name: "flood", part: &floods{dir: at("flood"), chain: p.chain}},
		{name: "postgres", part: &recording{chain: p.chain}},
		{name: "distant", part: &distant{site: p.site, chain: p.chain, keyDir: dir, keys: keys, most: p.burst}},
		{name: "dynamodb", part: &dynamo{voters: voters{chain: p.chain}}},
	} {
		if p.has(s.name) {
			p.sections = append(p.sections, s)
		}
	}
}

func (p *plan) planBurst(ctx context.Context, v *server) error {
	taken, err := scrape(ctx, v.metrics)
	if err != nil {
		return err
	}
	n := min(p.burst, int(taken.connections))
	if n < p.burst {
		p.tell("slot burst: %d connections instead of %d, the most that the signer takes with so few open files (ulimit -n)", n, p.burst)
	}
	p.bursts = append(p.bursts, &burst{phase: phase{
		what:   fmt.Sprintf("slot burst: %d votes at once over %d connections", size, n),
		server: v, clients: n, batch: 1, shared: true,
	}})
	return nil
}

const (
	connections = 64  // of the phases with one signature for each request
	batchKeys   = 128 // asked for at once in the phases with batches
)

func (p *plan) add(f phase) {
	if f.batch == 0 {
		f.batch, f.clients = 1, connections
	}
	p.phases = append(p.phases, &f)
}

func (p *plan) planPlain(v *server) {
	if p.has("plain") {
		p.add(phase{what: "ATTESTATION, 1,000 keys, every message its own", server: v, target: targetPlain, metrics: true})
		p.add(phase{what: "ATTESTATION, 1,000 keys, one message for all", server: v, shared: true, target: targetPlain, metrics: true})
		p.add(phase{what: "AGGREGATION_SLOT, which needs no record", server: v, duty: true, target: targetPlain, metrics: true})
	}
	if p.has("latency") {
		p.delay(v, "AGGREGATION_SLOT, plain HTTP", true)
		p.delay(v, "ATTESTATION, plain HTTP, its record included", false)
	}
	if p.has("batches") {
		for _, n := range []int{64, 16} {
			f := phase{server: v, batch: n, clients: batchKeys / n, target: targetBatch, metrics: true}
			f.what = fmt.Sprintf("ATTESTATION, batches of %d keys", n)
			p.add(f)
			f.what, f.duty = fmt.Sprintf("AGGREGATION_SLOT, batches of %d keys", n), true
			p.add(f)
		}
	}
}

func (p *plan) planAttested(v *server) {
	if p.has("attested") {
		p.add(phase{what: "ATTESTATION, attested TLS and parent, every message its own", server: v, target: targetAttested})
		p.add(phase{what: "ATTESTATION, attested TLS and parent, one message for all", server: v, shared: true, target: targetAttested})
	}
	if p.has("latency") {
		p.delay(v, "AGGREGATION_SLOT, attested TLS and parent", true)
	}
}

func (p *plan) delay(v *server, what string, duty bool) {
	p.delays = append(p.delays, &latency{phase: phase{what: what, server: v, batch: 1, duty: duty}})
}

// warm lets every key of every server vote once: the first vote of a key makes its record, all others change it.
func (p *plan) warm(ctx context.Context) error {
	for _, v := range p.servers {
		f := phase{what: "first votes", server: v, clients: connections, batch: 1, shared: true, perRun: len(v.keys)}
		if err := f.measure(ctx, p.chain, p.window, new(sample)); err != nil {
			return err
		}
	}
	return nil
}

// stop ends the servers.
func (p *plan) stop() error {
	var failures []error
	for _, v := range slices.Backward(p.servers) {
		failures = append(failures, v.stop())
	}
	return errors.Join(failures...)
}
