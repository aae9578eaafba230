package chamber

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
)

// event is what the log learns of a call.
type event struct {
	began  time.Time
	fields []zap.Field
	err    error
}

// errPanic stands for the outcome until there is one.
var errPanic = errors.New("the request was not answered: panic")

// call does what one request asks for. Its answer is sent as JSON; without one it has answered itself. An error is answered too, if nothing
// else has been.
type call func(w http.ResponseWriter, r *http.Request, e *event) (answer any, err error)

// recorded makes a handler of a call. If an answer that has begun fails, its connection is broken, so that nobody takes what came for
// the whole.
func (a *API) recorded(c call) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		e := event{began: time.Now(), err: errPanic}
		defer func() { a.record(r, &e) }()
		out := &witness{ResponseWriter: w}
		answer, err := c(out, r, &e)
		switch e.err = err; {
		case err == nil && answer != nil:
			writeJSON(out, http.StatusOK, answer)
		case err == nil:
		case out.begun:
			panic(http.ErrAbortHandler)
		default:
			writeRefusal(out, err)
		}
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

// record writes the line of a call. The chamber has one more for what it did.
func (a *API) record(r *http.Request, e *event) {
	status, level := http.StatusOK, zapcore.InfoLevel
	fields := []zap.Field{
		zap.String("audit", "request"), zap.String("caller", api.Caller(r).String()), zap.String("route", r.Pattern), zap.String("from", r.RemoteAddr), zap.Duration("duration", time.Since(e.began)),
	}
	fields = append(fields, e.fields...)
	if e.err != nil {
		if status = statusOf(e.err); status >= http.StatusInternalServerError || status == http.StatusUnauthorized {
			level = zapcore.WarnLevel
		}
		fields = append(fields, zap.Error(e.err))
	}
	a.o.Log.Log(level, "chamber request", append(fields, zap.Int("status", status))...)
}
