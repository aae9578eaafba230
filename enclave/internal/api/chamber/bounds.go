package chamber

import (
	"context"
	"net/http"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// Bound bounds the requests of a call.
type Bound struct {
	MaxItems    int           // of a request
	MaxRequests int           // at once
	Timeout     time.Duration // of a request; what has begun then is brought to its end
}

// Defaults of a Bound.
const (
	defaultItems    = 100
	defaultChanges  = 500
	defaultRequests = 16
	defaultTimeout  = 10 * time.Minute
)

// or sets what is not set.
func (b Bound) or(items int) Bound {
	if b.MaxItems == 0 {
		b.MaxItems = items
	}
	if b.MaxRequests == 0 {
		b.MaxRequests = defaultRequests
	}
	if b.Timeout == 0 {
		b.Timeout = defaultTimeout
	}
	return b
}

// places are taken or refused.
type places chan struct{}

// take takes a place, or refuses; leave gives it back.
func (p places) take() (leave func(), err error) {
	select {
	case p <- struct{}{}:
		return func() { <-p }, nil
	default:
		return nil, problem.New(problem.Overloaded, "%d such requests are under way already", cap(p))
	}
}

// bounded makes a call of few requests at once, each with its time, while there is a master key.
func (a *API) bounded(p places, b Bound, c call) call {
	return func(w http.ResponseWriter, r *http.Request, e *event) (any, error) {
		leave, err := p.take()
		if err != nil {
			return nil, err
		}
		defer leave()
		if err := a.o.Chamber.Sealed(); err != nil {
			return nil, refused(err)
		}
		ctx, cancel := context.WithTimeout(r.Context(), b.Timeout)
		defer cancel()
		return c(w, r.WithContext(ctx), e)
	}
}
