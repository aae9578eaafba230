package main

import (
	"context"
	"os"
	"runtime"
	"time"
)

// measure runs everything in turn, again and again, so that what disturbs the machine disturbs all alike.
func (p *plan) measure(ctx context.Context) error {
	before, err := p.strangers()
	if err != nil {
		return err
	}
	began := time.Now()
	for i := range p.repeats {
		p.tell("repeat %d of %d", i+1, p.repeats)
		if err := p.repeat(ctx); err != nil {
			return err
		}
	}
	after, err := p.strangers()
	p.disturbed = float64(after-before) / float64(time.Since(began)) / float64(runtime.NumCPU())
	return err
}

// strangers is the CPU time that processes which are not part of the measurement have used so far.
func (p *plan) strangers() (time.Duration, error) {
	all, err := machineTime()
	if err != nil {
		return 0, err
	}
	own, err := cpuTime(os.Getpid())
	if err != nil {
		return 0, err
	}
	for _, v := range p.servers {
		u, err := v.usage()
		if err != nil {
			return 0, err
		}
		own += u.signer + u.parent
	}
	return all - own, nil
}

// repeat runs everything once. The yardstick is read between any two runs.
func (p *plan) repeat(ctx context.Context) error {
	before, err := p.readYard()
	if err != nil {
		return err
	}
	// against measures between two readings and returns their mean.
	against := func(measure func() error) (time.Duration, error) {
		if err := measure(); err != nil {
			return 0, err
		}
		after, err := p.readYard()
		mean := (before + after) / 2
		before = after
		return mean, err
	}
	for _, f := range p.phases {
		if f.perRun == 0 { // a guess for the first time
			f.perRun = max(f.batch*f.clients, int(p.window.Seconds()*float64(runtime.GOMAXPROCS(0))/(2*before.Seconds())))
		}
		var s sample
		if s.raw, err = against(func() error { return f.measure(ctx, p.chain, p.window, &s) }); err != nil {
			return err
		}
		f.runs = append(f.runs, s)
	}
	for _, b := range p.bursts {
		raw, err := against(func() error { return b.measure(ctx, p.chain) })
		if err != nil {
			return err
		}
		b.raw = append(b.raw, raw)
	}
	for _, l := range p.delays {
		if err := l.measure(ctx, p.chain, p.yard, p.window/2); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) readYard() (time.Duration, error) {
	d, err := p.yard.saturated(max(p.window/6, 100*time.Millisecond))
	p.raw = append(p.raw, d)
	return d, err
}
