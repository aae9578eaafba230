package dynamodb

import (
	"context"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
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
// The error is what the request's condition failed with (see dynamoclient.Standing), or wraps ErrUnavailable or ErrOutcomeUnknown.
func (w *writing) send(ctx context.Context, request func(context.Context) error) error {
	var last error // of the try before, nil if it is the doubt
	lost := 0
	for tries := 0; ; tries++ {
		what, err := w.store.try(ctx, request)
		switch {
		case what == dynamoclient.Answered:
			return err
		case what == dynamoclient.Unanswered:
			w.doubt, last = fmt.Errorf("%w: %w", slashing.ErrOutcomeUnknown, explain(err)), nil
		case what != dynamoclient.TooLate || tries == 0:
			last = err
		}
		if what != dynamoclient.PutOff {
			lost++
		}
		if what == dynamoclient.Rejected || what == dynamoclient.TooLate || lost > resends || !dynamoclient.Pause(ctx, tries) {
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
		if what == dynamoclient.Answered {
			return err
		}
		if what != dynamoclient.TooLate || tries == 0 {
			last = err
		}
		if what != dynamoclient.PutOff {
			lost++
		}
		if what == dynamoclient.Rejected || what == dynamoclient.TooLate || lost > resends || !dynamoclient.Pause(ctx, tries) {
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

// try sends a request once.
func (s *Store) try(ctx context.Context, request func(context.Context) error) (dynamoclient.Fate, error) {
	return s.client.Try(ctx, share, shortest, request)
}

// share is what a try gets of the time that is left: a quarter, so that an answer that is lost costs no more.
func share(left time.Duration) time.Duration { return max(left/4, min(left/2, ample)) }
