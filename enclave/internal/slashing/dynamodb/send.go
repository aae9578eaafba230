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
const resends = 3

const (
	// ample is time enough for an answer of a service that is well, on a new connection. A try gets it if twice as much is left.
	ample = 500 * time.Millisecond
	// shortest is the least time in which a request is worth sending: one that is cut off leaves in doubt what was certain before.
	shortest = 100 * time.Millisecond
)

// writing is one change of the table, which may take several requests, and reads between them.
type writing struct {
	store *Store
	doubt error // a try that may have been applied, an ErrOutcomeUnknown: after it no error may say that nothing was
}

// send sends a request that records something, again and again until it is known what became of it, or hope is gone. It must be one
// that may be applied twice, also late. What the service put off is sent again while ctx lasts.
//
// The error is what the request's condition failed with (see standing), or wraps ErrUnavailable or ErrOutcomeUnknown.
func (w *writing) send(ctx context.Context, request func(context.Context) error) error {
	var last error // of the try before, nil if it is the doubt
	lost := 0
	for tries := 0; ; tries++ {
		what, err := w.store.try(ctx, request)
		switch {
		case what == answered:
			return err
		case what == unanswered:
			w.doubt, last = fmt.Errorf("%w: %w", slashing.ErrOutcomeUnknown, explain(err)), nil
		case what != tooLate || tries == 0:
			last = err
		}
		if what != putOff {
			lost++
		}
		if what == rejected || what == tooLate || lost > resends || !pause(ctx, tries) {
			return w.failed(last)
		}
	}
}

// read sends a request that changes nothing. The error wraps ErrUnavailable, or is what the request's condition failed with.
func (s *Store) read(ctx context.Context, request func(context.Context) error) error {
	var last error // of the last try for which there was time
	lost := 0
	for tries := 0; ; tries++ {
		what, err := s.try(ctx, request)
		if what == answered {
			return err
		}
		if what != tooLate || tries == 0 {
			last = err
		}
		if what != putOff {
			lost++
		}
		if what == rejected || what == tooLate || lost > resends || !pause(ctx, tries) {
			return unavailable(last)
		}
	}
}

// failed is the error of a change that ends with err, of a request that recorded nothing or of a read, or nil if it ends in doubt.
func (w *writing) failed(err error) error {
	switch {
	case w.doubt == nil:
		return unavailable(err)
	case err == nil:
		return w.doubt
	}
	return fmt.Errorf("%w; and after that: %v", w.doubt, explain(err)) //nolint:errorlint // it must not be an ErrUnavailable
}

// try sends a request once. It gets a quarter of the time that is left, so that an answer that is lost costs no more.
func (s *Store) try(ctx context.Context, request func(context.Context) error) (fate, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return tooLate, ctx.Err()
	}
	limit := s.timeout
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		limit = min(limit, max(left/4, min(left/2, ample)))
	}
	if limit < shortest {
		return tooLate, context.DeadlineExceeded
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
