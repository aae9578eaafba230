package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// part is figures about attested TLS or one slashing store. Parts are measured after everything else: what their servers do cannot be
// told apart from what strangers do to the machine. stop is called once, whatever failed before.
type part interface {
	prepare(ctx context.Context) error
	repeat(ctx context.Context, window time.Duration) error
	report(t table)
	stop() error
}

// missingError is the lack of a program that a part needs. The other figures are measured without it.
type missingError struct{ error }

// section is a part with its name among the figures.
type section struct {
	part
	name    string
	missing error // why it is not measured; nil if it is
}

// measureParts runs the parts one after the other, each with its servers up.
func (p *plan) measureParts(ctx context.Context) error {
	for _, s := range p.sections {
		if err := errors.Join(p.measurePart(ctx, s), s.stop()); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (p *plan) measurePart(ctx context.Context, s *section) error {
	p.tell("preparing %s", s.name)
	err := s.prepare(ctx)
	if missing, ok := errors.AsType[missingError](err); ok {
		s.missing = missing
		return nil
	}
	if err != nil {
		return err
	}
	for i := range p.repeats {
		p.tell("%s, repeat %d of %d", s.name, i+1, p.repeats)
		if err := s.repeat(ctx, p.window); err != nil {
			return err
		}
	}
	return nil
}

func (s *section) report(t table) {
	t.note("")
	if s.missing != nil {
		t.note("%s: not measured: %v", s.name, s.missing)
		return
	}
	s.part.report(t)
}
