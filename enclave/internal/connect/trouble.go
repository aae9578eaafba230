package connect

import (
	"context"
	"errors"
	"net/http"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// trouble is why a request had no answer of the signer.
type trouble struct {
	kind result
	err  error
}

// result is how a request ended, as a metric's label tells it.
type result string

const (
	answered    result = "answered"    // by the signer, whatever it said
	refused     result = "refused"     // the signer is not one that is accepted
	unreachable result = "unreachable" // no connection, or it was lost, or its proof could not be fetched
	late        result = "late"        // no answer within the time that a request has
	canceled    result = "canceled"    // the client gave up
)

func results() []result { return []result{answered, refused, unreachable, late, canceled} }

// troubleOf tells why a round trip failed.
func troubleOf(ctx context.Context, err error) *trouble {
	t := &trouble{kind: unreachable, err: err}
	switch {
	case errors.As(err, new(*atls.Error)):
		t.kind = refused
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		t.kind = late
	case ctx.Err() != nil:
		t.kind = canceled
	}
	return t
}

// status is 502 for a signer that is refused, for which asking again is no use, and else 503.
func (t *trouble) status() int {
	if t.kind == refused {
		return http.StatusBadGateway
	}
	return http.StatusServiceUnavailable
}

// public is the sentence for the client: the check that failed with the registers that differ, or the fault of the connection.
func (t *trouble) public() string {
	switch t.kind {
	case refused:
		return "the signer is refused: " + t.err.Error()
	case late:
		return "the signer did not answer in time"
	case canceled:
		return "the request was given up"
	case unreachable, answered:
	}
	return "no answer from the signer: " + t.err.Error()
}

// ofSigner tells whether the trouble says anything of the signer: one request that took too long, or was given up, does not.
func (t *trouble) ofSigner() bool { return t.kind == refused || t.kind == unreachable }

// same tells whether another trouble is no news. The text of a fault of the network holds port numbers, that of a refusal does not.
func (t *trouble) same(other *trouble) bool {
	return t.kind == other.kind && (t.kind != refused || t.err.Error() == other.err.Error())
}

func (t *trouble) Error() string { return t.err.Error() }

func (t *trouble) Unwrap() error { return t.err }
