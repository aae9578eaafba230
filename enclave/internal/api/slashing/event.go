package slashing

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

// event is what the log learns of a call.
type event struct {
	began   time.Time
	keys    int // how many were named; 0 is all
	to      any // the heights that were asked for
	dryRun  bool
	summary *admin.Summary // of a call that has changed records
	err     error
}

// errPanic stands for the outcome until there is one.
var errPanic = errors.New("the request was not answered: panic")

// undeliveredError is an answer that the caller has not taken. What was asked for is done.
type undeliveredError struct{ cause error }

func (e *undeliveredError) Error() string { return "the answer was not delivered: " + e.cause.Error() }

func (e *undeliveredError) Unwrap() error { return e.cause }

// delivered makes an undeliveredError of the error of an answer, if there is one.
func delivered(err error) error {
	if err == nil {
		return nil
	}
	return &undeliveredError{err}
}

// call answers one request. An error is answered too, if nothing else has been.
type call func(http.ResponseWriter, *http.Request, *event) error

// recorded makes a handler of a call. If an answer that has begun fails, its connection is broken, so that nobody takes what came for
// the whole.
func (a *API) recorded(c call) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		e := event{began: time.Now(), err: errPanic}
		defer func() { a.record(r, &e) }()
		out := &witness{ResponseWriter: w}
		switch e.err = c(out, r, &e); {
		case e.err == nil:
		case out.begun:
			panic(http.ErrAbortHandler)
		default:
			api.WriteProblem(w, e.err)
		}
	}
}

// scoped lets callers through who may make calls of a scope. The body has not been read before.
func scoped(s auth.Scope, c call) call {
	return func(w http.ResponseWriter, r *http.Request, e *event) error {
		if err := api.Caller(r).May(s); err != nil {
			return err
		}
		return c(w, r, e)
	}
}

// witness sees whether an answer has begun.
type witness struct {
	http.ResponseWriter
	begun bool
}

// Write implements http.ResponseWriter.
func (w *witness) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (a *API) record(r *http.Request, e *event) {
	status, level := http.StatusOK, zapcore.InfoLevel
	fields := []zap.Field{zap.String("route", r.Pattern), zap.String("caller", api.Caller(r).String()), zap.String("from", r.RemoteAddr), zap.Duration("duration", time.Since(e.began))}
	if e.keys > 0 {
		fields = append(fields, zap.Int("keys", e.keys))
	}
	if e.to != nil {
		fields = append(fields, zap.Any("to", e.to))
	}
	if e.dryRun {
		fields = append(fields, zap.Bool("dry_run", true))
	}
	if s := e.summary; s != nil {
		fields = append(fields, zap.Int("new", s.New), zap.Int("raised", s.Raised), zap.Int("unchanged", s.Unchanged))
		if len(s.Warnings) > 0 {
			fields = append(fields, zap.Strings("warnings", s.Warnings))
		}
	}
	if lost, ok := errors.AsType[*undeliveredError](e.err); ok {
		fields = append(fields, zap.NamedError("undelivered", lost.cause))
	} else if e.err != nil {
		kind := problem.Of(e.err).Kind
		if status = kind.Status(); status >= http.StatusInternalServerError {
			level = zapcore.WarnLevel
		}
		fields = append(fields, zap.Stringer("problem", kind), zap.Error(e.err))
	}
	a.log.Log(level, "slashing protection request", append(fields, zap.Int("status", status))...)
}
