package keymanager

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// event is what the log learns of a call.
type event struct {
	began  time.Time
	fields []zap.Field
	err    error
}

// errPanic stands for the outcome until there is one.
var errPanic = errors.New("the request was not answered: panic")

// call does what one request asks for. Its answer is sent as JSON, with its error too if there are both.
type call func(r *http.Request, e *event) (answer any, err error)

// recorded makes a handler of a call.
func (a *API) recorded(c call) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		a.patient(w)
		e := event{began: time.Now(), err: errPanic}
		defer func() { a.record(r, &e) }()
		answer, err := c(r, &e)
		switch e.err = err; {
		case answer == nil:
			api.WriteProblem(w, err)
		case err != nil:
			w.Header().Set("Retry-After", "1")
			writeJSON(w, problem.Of(err).Kind.Status(), answer)
		default:
			writeJSON(w, http.StatusOK, answer)
		}
	}
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	if whole, ok := body.(text); ok {
		_, _ = w.Write(whole)
		return
	}
	_ = json.NewEncoder(w).Encode(body) // a caller that is gone does not want it
}

func (a *API) record(r *http.Request, e *event) {
	status, level := http.StatusOK, zapcore.InfoLevel
	fields := []zap.Field{
		zap.String("audit", "request"), zap.String("caller", api.Caller(r).String()), zap.String("route", r.Pattern), zap.String("from", r.RemoteAddr),
		zap.Duration("duration", time.Since(e.began)),
	}
	fields = append(fields, e.fields...)
	if e.err != nil {
		if status = problem.Of(e.err).Kind.Status(); status >= http.StatusInternalServerError || status == http.StatusUnauthorized {
			level = zapcore.WarnLevel
		}
		fields = append(fields, zap.Error(e.err))
	}
	a.o.Log.Log(level, "key manager request", append(fields, zap.Int("status", status))...)
}

// tells notes what became of the keys of a request: how many of each status, and which were changed.
func (e *event) tells(results []result, changed status, publics []bls.PublicKey) {
	counts := map[status]int{}
	var keys []string
	for n, r := range results {
		counts[r.Status]++
		if r.Status == changed {
			keys = append(keys, publics[n].Short())
		}
	}
	e.fields = append(e.fields, zap.Int("items", len(results)))
	for _, s := range statuses {
		if counts[s] > 0 {
			e.fields = append(e.fields, zap.Int(string(s), counts[s]))
		}
	}
	if len(keys) > 0 {
		e.fields = append(e.fields, zap.Strings("keys", keys))
	}
}
