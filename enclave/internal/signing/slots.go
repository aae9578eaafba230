package signing

import (
	"context"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// enter waits for a slot. leave gives it back; without it Stop waits for ever.
func (s *Signer) enter(ctx context.Context) (leave func(), err error) {
	if !s.come() {
		return nil, problem.New(problem.Sealed, "the signer is stopping")
	}
	if err := s.take(ctx); err != nil {
		s.inside.Done()
		return nil, err
	}
	return func() { <-s.slots; s.inside.Done() }, nil
}

// come counts a request in, unless Stop was called.
func (s *Signer) come() bool {
	s.stopping.RLock()
	defer s.stopping.RUnlock()
	if s.stopped {
		return false
	}
	s.inside.Add(1)
	return true
}

// take takes a slot, or says why there is none.
func (s *Signer) take(ctx context.Context) error {
	if ctx.Err() != nil {
		return problem.Wrap(problem.Overloaded, ctx.Err(), "the request ended before a signing slot was free")
	}
	select {
	case s.slots <- struct{}{}:
		return nil
	default:
	}
	full := time.NewTimer(s.wait)
	defer full.Stop()
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-full.C:
		return problem.New(problem.Overloaded, "all %d signing slots were taken for %s", cap(s.slots), s.wait)
	case <-ctx.Done():
		return problem.Wrap(problem.Overloaded, ctx.Err(), "the request ended before a signing slot was free")
	}
}
