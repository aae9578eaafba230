package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

const (
	floodRotation = time.Second            // as often as a certificate is replaced
	floodLate     = 100 * time.Millisecond // after which it is late
	floodLimit    = 30 * time.Second       // for a flood to begin
)

// floods measures the simulated signer while others ask it for proofs as fast as they can make connections. What a flood of anything
// takes of this machine's processors, it takes from the signatures too: therefore the same flood is made of health checks as well.
type floods struct {
	dir   string
	chain chain

	stand  *stand
	client *client
	signer bls.PublicKey
	slot   uint64

	quiet, checked, flooded []calm
	asked                   tally // by the flood of proofs, in all repeats
}

// calm is how the signer did for a while.
type calm struct {
	p50, p99   time.Duration // of one signature at a time
	signatures int
	punctual   int           // rotations on time
	late       int           // rotations that were not, or not yet
	longest    time.Duration // from one certificate to the next
	failures   int           // certificates that could not be made
}

// tally is what flooders got.
type tally struct{ Connections, Answered, Refused int64 }

func (f *floods) prepare(ctx context.Context) (err error) {
	f.slot = firstEpoch
	if f.stand, err = startStand(ctx, f.dir, f.chain, 24*time.Hour, floodRotation); err != nil {
		return err
	}
	key, err := seedKey(0)
	if err != nil {
		return err
	}
	f.signer = key.PublicKey()
	config, err := atls.ClientConfig(f.stand.options)
	if err != nil {
		return err
	}
	config.NextProtos = []string{"http/1.1"}
	clients, err := (&server{name: "the simulated signer", address: f.stand.api(), tls: config}).connect(ctx, 1)
	if err != nil {
		disconnect(clients)
		return err
	}
	f.client = clients[0]
	return nil
}

// repeat spends most of its time on the flood that matters.
func (f *floods) repeat(ctx context.Context, window time.Duration) error {
	c, err := f.sign(ctx, window/2)
	if err != nil {
		return err
	}
	f.quiet = append(f.quiet, c)
	c, _, err = f.under(ctx, "/upcheck", window/2)
	if err != nil {
		return err
	}
	f.checked = append(f.checked, c)
	c, asked, err := f.under(ctx, atls.WellKnownPath+"?nonce="+strings.Repeat("0a", atls.NonceSize), window)
	if err != nil {
		return err
	}
	f.flooded = append(f.flooded, c)
	f.asked.Connections += asked.Connections
	f.asked.Answered += asked.Answered
	f.asked.Refused += asked.Refused
	return nil
}

// under signs while a process of its own floods the signer.
func (f *floods) under(ctx context.Context, path string, window time.Duration) (c calm, asked tally, err error) {
	self, err := os.Executable()
	if err != nil {
		return c, asked, err
	}
	p, err := rig.Start(rig.Command{Name: "flood", Binary: self, Args: []string{floodRole, "-address", f.stand.api(), "-path", path}})
	if err != nil {
		return c, asked, err
	}
	if err = awaitFlood(ctx, p); err == nil {
		c, err = f.sign(ctx, window)
	}
	if err := errors.Join(err, p.Terminate()); err != nil {
		return c, asked, rig.Explain(err, p)
	}
	lines := p.Lines()
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &asked); err != nil {
		return c, asked, rig.Explain(fmt.Errorf("what the flood got: %w", err), p)
	}
	return c, asked, nil
}

// awaitFlood returns when the flood has begun.
func awaitFlood(ctx context.Context, p *rig.Process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, floodLimit, fmt.Errorf("no flood within %v", floodLimit))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !slices.Contains(p.Lines(), floodBegun) {
		select {
		case <-tick.C:
		case <-p.Done():
			return errors.New("the flood ended by itself")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// sign asks for one signature after the other.
func (f *floods) sign(ctx context.Context, window time.Duration) (calm, error) {
	before, err := f.stand.state(ctx)
	if err != nil {
		return calm{}, err
	}
	if err := f.client.conn.SetDeadline(time.Now().Add(runLimit)); err != nil {
		return calm{}, err
	}
	var took []time.Duration
	for began := time.Now(); time.Since(began) < window; {
		f.slot++
		j := f.chain.aggregationSlot(f.slot).single(f.signer)
		sent := time.Now()
		status, body, err := f.client.do(j.request)
		took = append(took, time.Since(sent))
		if err == nil {
			err = j.check(status, body)
		}
		if err == nil && len(took) == 1 {
			err = j.verify(body)
		}
		if err != nil {
			return calm{}, fmt.Errorf("signature %d: %w", len(took), err)
		}
	}
	after, err := f.stand.state(ctx)
	if err != nil {
		return calm{}, err
	}
	slices.Sort(took)
	c := punctuality(before.Issued, after.Issued, time.Now())
	c.failures = after.Failures - before.Failures
	c.p50, c.p99, c.signatures = took[len(took)/2], took[len(took)*99/100], len(took)
	return c, nil
}

// punctuality judges the rotations since an earlier look. The one that should have come by now, and has not, is late.
func punctuality(before, after []time.Time, now time.Time) (c calm) {
	judge := func(from, to time.Time, due bool) {
		passed := to.Sub(from)
		switch {
		case passed > floodRotation+floodLate:
			c.late++
		case due:
			c.punctual++
		default:
			return
		}
		c.longest = max(c.longest, passed)
	}
	for i := len(before); i < len(after); i++ {
		judge(after[i-1], after[i], true)
	}
	judge(after[len(after)-1], now, false)
	return c
}

func (f *floods) report(t table) {
	t.note("signatures one at a time and the rotation of the certificate every %v, while %d connections at a time ask for proofs without end:", floodRotation, flooders)
	for _, against := range []struct {
		what string
		of   []calm
	}{{"without", f.quiet}, {"while they ask for /upcheck", f.checked}} {
		t.line("p50 of a signature, against that "+against.what, number(ratio(f.flooded, against.of, func(c calm) time.Duration { return c.p50 }))+"×")
		t.line("p99 of a signature, against that "+against.what, number(ratio(f.flooded, against.of, func(c calm) time.Duration { return c.p99 }))+"×")
	}
	for _, phase := range []struct {
		what string
		of   []calm
	}{{"without", f.quiet}, {"/upcheck", f.checked}, {"proofs", f.flooded}} {
		all := sum(phase.of)
		t.note("    %s: p50 %.0f µs, p99 %.0f µs of %d signatures, all answered 200", phase.what, micros(all.p50), micros(all.p99), all.signatures)
	}
	all := sum(f.flooded)
	t.reached("rotations on time during the flood of proofs", " %", 100*float64(all.punctual)/float64(max(1, all.punctual+all.late)), 100)
	t.note("    %d of %d within %v, %d failed; the longest from one certificate to the next %.0f ms", all.punctual, all.punctual+all.late,
		floodLate, all.failures, micros(all.longest)/1000)
	quiet := sum(f.quiet)
	t.note("    without the flood %d of %d, the longest %.0f ms", quiet.punctual, quiet.punctual+quiet.late, micros(quiet.longest)/1000)
	t.note("    the flood: %d connections, %d proofs made, %d refused with 503", f.asked.Connections, f.asked.Answered, f.asked.Refused)
}

// ratio is the median over the repeats.
func ratio(of, against []calm, figure func(calm) time.Duration) float64 {
	var all []float64
	for i := range of {
		all = append(all, float64(figure(of[i]))/float64(figure(against[i])))
	}
	return median(all)
}

// sum is all repeats together: the medians of the latencies.
func sum(all []calm) (s calm) {
	var p50, p99 []time.Duration
	for _, c := range all {
		p50, p99 = append(p50, c.p50), append(p99, c.p99)
		s.signatures += c.signatures
		s.punctual += c.punctual
		s.late += c.late
		s.failures += c.failures
		s.longest = max(s.longest, c.longest)
	}
	s.p50, s.p99 = median(p50), median(p99)
	return s
}

func (f *floods) stop() error {
	if f.client != nil {
		disconnect([]*client{f.client})
	}
	return f.stand.stop()
}
