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

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

const (
	// resends is how often a request is sent again that never arrived, or whose answer was lost.
	resends = 3
	// putOffs is how often a request is sent again that the service put off, which takes up to 10 seconds.
	putOffs = 30
)

// read sends a request that changes nothing, or whose change is no matter if it is repeated and comes late. The error wraps
// store.ErrUnavailable, or is that of the request's condition.
func (t *table) read(ctx context.Context, request func(context.Context) error) error {
	err := t.write(ctx, request)
	if errors.Is(err, store.ErrOutcomeUnknown) {
		return fmt.Errorf("%w: %v", store.ErrUnavailable, err) //nolint:errorlint // what was read has no outcome
	}
	return err
}

// write sends a request, again and again until it is known what became of it, or hope is gone. It must be one that may be applied
// twice, also late. The error is that of the request's condition, after tries that may have been applied or not (see refused), or
// wraps store.ErrUnavailable or store.ErrOutcomeUnknown.
func (t *table) write(ctx context.Context, request func(context.Context) error) error {
	var doubt error // a try that may have been applied: after it no error may say that nothing was
	for lost, later := 0, 0; ; {
		what, err := t.try(ctx, request)
		switch what {
		case answered:
			if err != nil && doubt != nil {
				return &doubted{condition: err, doubt: doubt}
			}
			return err
		case unanswered:
			doubt = fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, t.explain(err))
			lost++
		case unsent:
			lost++
		case putOff:
			later++
		case rejected:
		}
		if what == rejected || lost > resends || later > putOffs || !pause(ctx, lost+later) {
			if doubt != nil {
				return doubt
			}
			return fmt.Errorf("%w: %w", store.ErrUnavailable, t.explain(err))
		}
	}
}

// doubted is a condition that failed after an earlier try may have been applied, which may be why it failed.
type doubted struct{ condition, doubt error }

func (d *doubted) Error() string   { return d.doubt.Error() }
func (d *doubted) Unwrap() []error { return []error{d.condition, d.doubt} }

// refused says that a write's condition failed, and returns the item as it was at that moment, empty if there was none.
func refused(err error) (item, bool) {
	failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return nil, false
	}
	return failed.Item, true
}

// try sends a request once. It gets at most half of the time that is left, so that there is time to ask again what became of it.
func (t *table) try(ctx context.Context, request func(context.Context) error) (fate, error) {
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return unsent, ctx.Err()
	}
	if ctx.Err() != nil {
		return unsent, ctx.Err()
	}
	limit := t.timeout
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var connected atomic.Bool
	err := request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	return judge(err, connected.Load()), err
}

// pause waits before something is tried again, a little longer at each try. It is false if ctx ends before.
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
