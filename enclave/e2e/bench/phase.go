package main

import (
	"context"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// phase is one kind of load on one server, repeated and compared with the yardstick each time.
type phase struct {
	what    string
	server  *server
	clients int
	batch   int  // keys in a request
	shared  bool // whether all keys sign the same message, and the next round the next one
	duty    bool // AGGREGATION_SLOT, which needs no record, instead of ATTESTATION
	target  float64
	metrics bool // whether allocations and garbage collection are reported too

	perRun int // signatures asked for in a run: the last one's speed times the time a run should take
	runs   []sample
}

// sample is what one run of a phase gave.
type sample struct {
	raw        time.Duration // of one signature, mean of before and after
	signer     time.Duration // CPU time for each signature
	parent     time.Duration
	wall       time.Duration // for each signature
	mallocs    float64       // for each request
	bytes      float64       // for each request
	collecting float64       // share of CPU time
}

// measure makes one run and puts into s what it gave, all but raw.
func (p *phase) measure(ctx context.Context, c chain, window time.Duration, s *sample) error {
	jobs := p.jobs(c)
	clients, err := p.server.connect(ctx, p.clients)
	defer disconnect(clients)
	if err != nil {
		return err
	}
	scrapeCost, before, err := p.scrapes(ctx)
	if err != nil {
		return err
	}
	began, err := p.server.usage()
	if err != nil {
		return err
	}
	r, err := drive(clients, jobs)
	if err != nil {
		return p.server.explain(fmt.Errorf("%s: %w", p.what, err))
	}
	ended, err := p.server.usage()
	if err != nil {
		return err
	}
	_, after, err := p.scrapes(ctx)
	if err != nil {
		return err
	}
	if err := r.verify(); err != nil {
		return fmt.Errorf("%s: %w", p.what, err)
	}
	signatures := len(jobs) * p.batch
	p.perRun = max(p.batch*p.clients*2, int(float64(signatures)*window.Seconds()/r.took.Seconds()))
	s.signer = (ended.signer - began.signer) / time.Duration(signatures)
	s.parent = (ended.parent - began.parent) / time.Duration(signatures)
	s.wall = r.took / time.Duration(signatures)
	if p.metrics {
		requests := float64(len(jobs))
		s.mallocs = (after.mallocs - before.mallocs - 2*scrapeCost.mallocs) / requests
		s.bytes = (after.bytes - before.bytes - 2*scrapeCost.bytes) / requests
		s.collecting = (after.collecting - before.collecting) / (ended.signer - began.signer).Seconds()
	}
	return nil
}

// scrapes reads the server's metrics twice: the second reading, and the difference, which is what a reading costs.
func (p *phase) scrapes(ctx context.Context) (cost, last readings, err error) {
	if !p.metrics {
		return readings{}, readings{}, nil
	}
	first, err := scrape(ctx, p.server.metrics)
	if err != nil {
		return readings{}, readings{}, err
	}
	last, err = scrape(ctx, p.server.metrics)
	return readings{mallocs: last.mallocs - first.mallocs, bytes: last.bytes - first.bytes}, last, err
}

// jobs prepares the requests of a run. Every key's votes have rising targets, across runs too.
func (p *phase) jobs(c chain) []job {
	v := p.server
	groups := groupsOf(v.keys, p.batch)
	n := max(1, p.perRun/p.batch)
	jobs := make([]job, 0, n)
	for len(jobs) < n {
		common := p.message(c, v.epoch<<32)
		for i, signers := range groups[:min(len(groups), n-len(jobs))] {
			m := common
			if !p.shared {
				m = p.message(c, v.epoch<<32+uint64(i))
			}
			if p.batch == 1 {
				jobs = append(jobs, m.single(signers[0]))
			} else {
				jobs = append(jobs, m.batch(signers))
			}
		}
		v.epoch++
	}
	return jobs
}

// message is the number-th message of the present round.
func (p *phase) message(c chain, number uint64) message {
	if !p.duty {
		return c.attestation(p.server.epoch, number)
	}
	p.server.slot++
	return c.aggregationSlot(p.server.slot)
}

// groupsOf cuts keys into groups of n; what is left over is left out.
func groupsOf(keys []bls.PublicKey, n int) (groups [][]bls.PublicKey) {
	for len(keys) >= n {
		groups = append(groups, keys[:n])
		keys = keys[n:]
	}
	return groups
}
