// Package problem says why a request was refused: a kind, a sentence for the caller, a cause for the log.
package problem

import (
	"errors"
	"fmt"
	"net/http"
)

// Kind is why a request was refused. The zero Kind is Internal: an error that nobody classified.
type Kind uint8

// The kinds. Each has its own status code, except that Sealed, Overloaded and StoreUnavailable share 503.
const (
	Internal         Kind = iota // a fault of ours
	Malformed                    // the request cannot be read, or contradicts itself
	Unauthenticated              // no token, or one that is not known
	Forbidden                    // policy, or another network's validators root
	UnknownKey                   // no such key is loaded
	NotFound                     // nothing of that name
	TooLarge                     // the body has more bytes than any request needs
	Slashable                    // slashing protection refused
	Sealed                       // starting, sealed or stopping
	Overloaded                   // too much at once
	StoreUnavailable             // the slashing store cannot be reached, or its answer is unknown
)

// row is the one table from kind to status code and metric label.
func (k Kind) row() (status int, label string) {
	switch k {
	case Malformed:
		return http.StatusBadRequest, "malformed"
	case Unauthenticated:
		return http.StatusUnauthorized, "unauthenticated"
	case Forbidden:
		return http.StatusForbidden, "forbidden"
	case UnknownKey:
		return http.StatusNotFound, "unknown_key"
	case NotFound:
		return http.StatusNotFound, "not_found"
	case TooLarge:
		return http.StatusRequestEntityTooLarge, "too_large"
	case Slashable:
		return http.StatusPreconditionFailed, "slashable"
	case Sealed:
		return http.StatusServiceUnavailable, "sealed"
	case Overloaded:
		return http.StatusServiceUnavailable, "overloaded"
	case StoreUnavailable:
		return http.StatusServiceUnavailable, "store_unavailable"
	case Internal:
	}
	return http.StatusInternalServerError, "internal"
}

// Status is the HTTP status code.
func (k Kind) Status() int {
	status, _ := k.row()
	return status
}

// String is the kind's metric label.
func (k Kind) String() string {
	_, label := k.row()
	return label
}

// Error is a refusal. Its text, for the log, includes the cause; the caller sees Public alone.
type Error struct {
	Kind   Kind
	Public string // a sentence for the caller, without secrets or internals
	Cause  error  // nil if the public sentence says it all
}

// New makes a refusal whose public sentence says it all.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Public: fmt.Sprintf(format, args...)}
}

// Wrap makes a refusal with a cause that the caller does not see.
func Wrap(k Kind, cause error, public string) *Error {
	return &Error{Kind: k, Public: public, Cause: cause}
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Public
	}
	return e.Public + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// Of finds the refusal in err. An error without one is Internal, with a fixed sentence.
func Of(err error) *Error {
	if p, ok := errors.AsType[*Error](err); ok {
		return p
	}
	return Wrap(Internal, err, "internal error")
}
