package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// resends is how often a request is sent again that never arrived, or whose answer was lost.
const resends = 2

// shortest is the least time in which a request is worth sending: one that is cut off leaves in doubt what was certain before.
const shortest = 100 * time.Millisecond

// write sends a request that records something, again and again until it is known what became of it, or hope is gone. It must be one
// that may be applied twice, also late. What the service put off is sent again while ctx lasts.
//
// The error is what the request's condition failed with (see standing), or wraps ErrUnavailable or ErrOutcomeUnknown.
func (s *Store) write(ctx context.Context, request func(context.Context) error) error {
	var doubt error // a try that may have been applied: after it no error may say that nothing was
	lost := 0
	for tries := 0; ; tries++ {
		what, err := s.try(ctx, request)
		if what == answered {
			return err
		}
		if what == unanswered {
			doubt, err = fmt.Errorf("%w: %w", slashing.ErrOutcomeUnknown, explain(err)), nil
		}
		if what != putOff {
			lost++
		}
		if what == rejected || lost > resends || !pause(ctx, tries) {
			return doubted(err, doubt)
		}
	}
}

// read sends a request that changes nothing. The error wraps ErrUnavailable.
func (s *Store) read(ctx context.Context, request func(context.Context) error) error {
	lost := 0
	for tries := 0; ; tries++ {
		what, err := s.try(ctx, request)
		if what == answered {
			return err
		}
		if what != putOff {
			lost++
		}
		if what == rejected || lost > resends || !pause(ctx, tries) {
			return unavailable(err)
		}
	}
}

// doubted is the error of a last try that recorded nothing, nil if it was itself in doubt, after one in doubt, nil if there was none.
func doubted(err, doubt error) error {
	switch {
	case doubt == nil:
		return unavailable(err)
	case err == nil:
		return doubt
	}
	return fmt.Errorf("%w; and sent again: %v", doubt, explain(err)) //nolint:errorlint // it must not be an ErrUnavailable
}

// try sends a request once.
func (s *Store) try(ctx context.Context, request func(context.Context) error) (fate, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return unsent, ctx.Err()
	}
	limit := s.timeout
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/2)
	}
	if limit < shortest {
		return unsent, context.DeadlineExceeded
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var connected atomic.Bool
	err := request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	return judge(err, connected.Load()), err
}

// pause waits before a request is sent again, a little longer at each try. It is false if ctx ends before.
func pause(ctx context.Context, tries int) bool {
	most := min(20*time.Millisecond<<min(tries, 5), 500*time.Millisecond)
	timer := time.NewTimer(rand.N(most)) //nolint:gosec // jitter is no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// standing says that a write's condition failed, and returns the item as it was at that moment, empty if there was none or the service
// does not tell.
func standing(err error) (item, bool) {
	failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return nil, false
	}
	return failed.Item, true
}
