package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// shippedChecks are about chamber-enclave as operators get it. Its device signs nothing.
func shippedChecks() []check {
	return []check{
		{"chamber-enclave as shipped boots and tells the host", (*story).bootShipped},
		{"chamber-enclave as shipped finds device, entropy and configuration, and measures it", (*story).shippedMeasures},
		{"chamber-enclave as shipped goes no further: it refuses its device's unsigned document", (*story).shippedRefuses},
		{"chamber-enclave as shipped never listened for clients, and its enclave ends", (*story).shippedEnds},
	}
}

func (s *story) bootShipped(ctx context.Context) error {
	s.client.Close()
	before := s.world.instance.heartbeats.Load()
	if err := s.boot(s.world.shipped); err != nil {
		return err
	}
	return rig.Await(ctx, "the heartbeat", func() (bool, error) {
		return s.world.instance.heartbeats.Load() == before+1, s.machine.over()
	})
}

func (s *story) shippedMeasures(ctx context.Context) error {
	for _, name := range []string{"nsm", "entropy", "configuration", "parse", "measurement", "egress"} {
		if _, err := s.shippedLine(ctx, "stage done", `"stage":"`+name+`"`); err != nil {
			return err
		}
	}
	return nil
}

// shippedLine waits for a line; the enclave that wrote it may have ended.
func (s *story) shippedLine(ctx context.Context, words ...string) (string, error) {
	line, err := s.awaitLine(ctx, words...)
	if errors.Is(err, rig.ErrEnded) { // the last lines may be on their way
		line, err = s.awaitLine(ctx, words...)
	}
	return line, err
}

func (s *story) shippedRefuses(ctx context.Context) error {
	line, err := s.shippedLine(ctx, "stage clock: clock check: own document:")
	if err != nil {
		return err
	}
	s.note("%s", line)
	return nil
}

func (s *story) shippedEnds(ctx context.Context) error {
	err := rig.Await(ctx, "the end of the machine", func() (bool, error) { return s.machine.over() != nil, nil })
	if err != nil {
		return err
	}
	for line := range strings.Lines(s.log()[s.from:]) {
		for _, word := range []string{`"stage":"clock"`, `"stage":"certificate"`, `"stage":"listeners"`, `"listener":"tls"`} {
			if strings.Contains(line, word) {
				return fmt.Errorf("it came further than it must: %s", line)
			}
		}
	}
	if _, err = s.client.Handshake(ctx); err == nil {
		return errors.New("a client connects")
	}
	return nil
}
