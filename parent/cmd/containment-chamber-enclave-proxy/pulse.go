package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/streak"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/systemd"
)

// lookEvery is how often it is looked how the parent is.
const lookEvery = time.Second

// pulse tells the service manager how the parent is and that it lives.
type pulse struct {
	log     *zap.Logger
	manager systemd.Manager
	// healthy is what the supervisor says, under its lock: a parent that is locked up does not beat, and the manager starts another.
	healthy func() error
	// alive asks what must answer before the parent begins to stop; no answer, no beat. Nil: nobody is asked.
	alive   func(context.Context) error
	enclave func() error // nil while an enclave is there; the function is nil for parts that know of none
	// stopping is closed when the parent is asked to stop; nil: when it begins to.
	stopping <-chan struct{}
	silent   streak.Streak
	hung     streak.Streak

	status string // that was last told
}

// tell is the manager's; the parent works without one that listens.
func (p *pulse) tell(words ...string) {
	if err := p.manager.Tell(words...); err != nil {
		p.silent.Fail(p.log, "the service manager was not told", err.Error(), err)
		return
	}
	p.silent.Heal(p.log, "the service manager listens again")
}

// run looks and beats until ended is closed; ctx ends when the parent begins to stop.
func (p *pulse) run(ctx context.Context, ended <-chan struct{}) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var beats <-chan time.Time
	if d := p.manager.Watchdog; d > 1 {
		beat := time.NewTicker(d / 2) // as sd_watchdog_enabled(3) recommends
		defer beat.Stop()
		beats = beat.C
	}
	stopping := p.stopping
	if stopping == nil {
		stopping = ctx.Done()
	}
	for {
		select {
		case <-look.C:
			if stopping != nil {
				p.look()
			}
		case <-beats:
			if p.lives(ctx) {
				p.tell(systemd.Alive)
			}
		case <-stopping:
			p.tell(systemd.Stopping, systemd.Status("stopping"))
			stopping = nil
		case <-ended:
			return
		}
	}
}

// lives asks for signs of life, for as long as there is until the next beat.
func (p *pulse) lives(ctx context.Context) bool {
	_ = p.healthy()
	if p.alive == nil {
		return true
	}
	asking, stop := context.WithTimeout(ctx, p.manager.Watchdog/2)
	defer stop()
	err := p.alive(asking)
	if err == nil || ctx.Err() != nil { // who stops does not answer
		p.hung.Heal(p.log, "the parent lives after all")
		return true
	}
	p.hung.Fail(p.log, "no sign of life; the service manager is not told that the parent lives", err.Error(), err)
	return false
}

// look tells the service manager what has changed.
func (p *pulse) look() {
	status := "the enclave is there"
	if p.enclave == nil {
		status = "running"
	} else if err := p.enclave(); err != nil {
		status = err.Error()
	}
	if err := p.healthy(); err != nil {
		status += "; " + err.Error()
	}
	if status != p.status {
		p.status = status
		p.tell(systemd.Status(status))
	}
}
