package slashing

import (
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// upload is what comes over the wire. Its errors are problems.
type upload struct {
	body io.Reader
	what string // it is
	so   string // what follows from a fault
}

// Read implements io.Reader.
func (u upload) Read(b []byte) (int, error) {
	n, err := u.body.Read(b)
	switch large, ok := errors.AsType[*http.MaxBytesError](err); {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case ok:
		err = problem.New(problem.TooLarge, "%s is larger than %d bytes%s", u.what, large.Limit, u.so)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = problem.Wrap(problem.Malformed, err, u.what+" came too slowly"+u.so)
	case errors.As(err, new(*problem.Error)):
	default:
		err = problem.Wrap(problem.Malformed, err, u.what+" broke off on its way"+u.so)
	}
	return n, err
}
