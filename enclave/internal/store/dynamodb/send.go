package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
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
// twice, also late. The error is that of the request's condition, after tries that may have been applied or not (see
// dynamoclient.Standing), or wraps store.ErrUnavailable or store.ErrOutcomeUnknown.
func (t *table) write(ctx context.Context, request func(context.Context) error) error {
	var doubt error // a try that may have been applied: after it no error may say that nothing was
	for lost, later := 0, 0; ; {
		what, err := t.client.Try(ctx, half, 0, request)
		switch what {
		case dynamoclient.Answered:
			if err != nil && doubt != nil {
				return &doubted{condition: err, doubt: doubt}
			}
			return err
		case dynamoclient.Unanswered:
			doubt = fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, t.explain(err))
			lost++
		case dynamoclient.Unsent:
			lost++
		case dynamoclient.PutOff:
			later++
		case dynamoclient.Rejected, dynamoclient.TooLate:
		}
		if what == dynamoclient.Rejected || what == dynamoclient.TooLate || lost > resends || later > putOffs ||
			!dynamoclient.Pause(ctx, lost+later) {
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

// half is what a try gets of the time that is left, so that there is time to ask again what became of it.
func half(left time.Duration) time.Duration { return left / 2 }
