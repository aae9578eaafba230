package chamber

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// conflictError is a request that is right, but not now: the chamber is in another state, or another replica was faster.
type conflictError struct{ cause error }

func (e *conflictError) Error() string { return e.cause.Error() }

func (e *conflictError) Unwrap() error { return e.cause }

// rows say what becomes of an error of the chamber, the first that fits. Operators are told the whole of it: it names KMS keys and items,
// and no secret.
var rows = []struct { //nolint:gochecknoglobals // a table that does not change
	is     error
	status int
}{
	{auth.ErrNotFound, http.StatusNotFound},
	{auth.ErrInvalid, http.StatusBadRequest},
	{auth.ErrInUse, http.StatusConflict},
	{chamber.ErrToken, http.StatusUnauthorized},
	{chamber.ErrSealed, http.StatusServiceUnavailable},
	{chamber.ErrStale, http.StatusServiceUnavailable},
	{store.ErrUnavailable, http.StatusServiceUnavailable},
	{store.ErrOutcomeUnknown, http.StatusServiceUnavailable},
	{chamber.ErrUnfinished, http.StatusConflict},
	{chamber.ErrInvalid, http.StatusBadRequest},
	{store.ErrInvalid, http.StatusBadRequest},
	{chamber.ErrPinned, http.StatusForbidden},
	{chamber.ErrNotApproved, http.StatusForbidden},
	{chamber.ErrInitialized, http.StatusConflict},
	{chamber.ErrUninitialized, http.StatusConflict},
	{chamber.ErrBusy, http.StatusConflict},
	{store.ErrConflict, http.StatusConflict},
}

// refused makes a refusal of an error of the chamber. What has no row is a KMS that does not answer or denies, or a state that is not as it
// should be: nothing that the caller did.
func refused(err error) error {
	if err == nil || errors.As(err, new(*problem.Error)) {
		return err
	}
	switch rowOf(err) {
	case http.StatusUnauthorized:
		return problem.Wrap(problem.Unauthenticated, err, chamber.ErrToken.Error())
	case http.StatusBadRequest:
		return problem.New(problem.Malformed, "%v", err)
	case http.StatusForbidden:
		return problem.New(problem.Forbidden, "%v", err)
	case http.StatusNotFound:
		return problem.New(problem.NotFound, "%v", err)
	case http.StatusConflict:
		return &conflictError{err}
	}
	return problem.New(problem.Sealed, "%v", err)
}

// rowOf is the status of an error by the table, 0 if it is not there.
func rowOf(err error) int {
	for _, row := range rows {
		if errors.Is(err, row.is) {
			return row.status
		}
	}
	return 0
}

func statusOf(err error) int {
	if errors.As(err, new(*conflictError)) {
		return http.StatusConflict
	}
	return problem.Of(err).Kind.Status()
}

// writeRefusal answers with an error, in the form of every other.
func writeRefusal(w http.ResponseWriter, err error) {
	conflict, ok := errors.AsType[*conflictError](err)
	if !ok {
		api.WriteProblem(w, err)
		return
	}
	text := conflict.Error()
	writeJSON(w, http.StatusConflict, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Error   string `json:"error"`
	}{http.StatusConflict, text, text})
}

// writeJSON answers. Some answers hold a token.
func writeJSON(w http.ResponseWriter, code int, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a caller that is gone does not want it
}
