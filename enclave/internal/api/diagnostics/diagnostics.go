// Package diagnostics answers what an operator asks in an incident.
package diagnostics

import (
	"encoding/json"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// The routes.
const (
	prefix = "/api/v1/chamber/diagnostics/"

	RouteLogLevel = prefix + "log-level"
	RouteBundle   = prefix + "support-bundle"
)

// Options are what there is to tell and to change. All are required but Files.
type Options struct {
	// Level tells what is logged. SetLevel has another level hold for some time, and says in the log that caller asked for it.
	Level    func() Level
	SetLevel func(level string, d time.Duration, caller string) Level
	// Files are in the support bundle, beside those that this package makes.
	Files []File
	Log   *zap.Logger
}

// API answers the calls, to whoever has a management token. Each is one line of the log.
type API struct {
	o     Options
	masks []*regexp.Regexp

	making sync.Mutex // held while a bundle is made
	files  []file
}

// New makes the calls' handlers.
func New(o Options) *API {
	a := &API{o: o, masks: newMasks()}
	for _, f := range append(own(), o.Files...) {
		a.files = append(a.files, file{File: f, hangs: new(atomic.Bool)})
	}
	return a
}

// Register adds the routes.
func (a *API) Register(mux api.Router) {
	mux.HandleFunc("GET "+RouteLogLevel, a.managed(a.level))
	mux.HandleFunc("POST "+RouteLogLevel, a.managed(a.setLevel))
	mux.HandleFunc("GET "+RouteBundle, a.managed(a.bundle))
}

// call answers one request, unless there is an error, which is answered for it.
type call func(w http.ResponseWriter, r *http.Request) error

// managed makes a handler of a call for those who have a management token.
func (a *API) managed(c call) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		err := api.Caller(r).Manages()
		if err == nil && r.URL.RawQuery != "" {
			err = problem.New(problem.Malformed, "there are no parameters in the URL")
		}
		if err == nil {
			w.Header().Set("Cache-Control", "no-store")
			err = c(w, r)
		}
		if err != nil {
			api.WriteProblem(w, err)
		}
		a.record(r, time.Since(began), err)
	}
}

func (a *API) record(r *http.Request, took time.Duration, err error) {
	status, level := http.StatusOK, zapcore.InfoLevel
	fields := []zap.Field{
		zap.String("audit", "request"), zap.String("route", r.Pattern), zap.String("from", r.RemoteAddr),
		zap.Stringer("caller", api.Caller(r)), zap.Duration("duration", took),
	}
	if err != nil {
		if status = problem.Of(err).Kind.Status(); status >= http.StatusInternalServerError || status == http.StatusUnauthorized {
			level = zapcore.WarnLevel
		}
		fields = append(fields, zap.Error(err))
	}
	a.o.Log.Log(level, "diagnostics request", append(fields, zap.Int("status", status))...)
}

func writeJSON(w http.ResponseWriter, answer any) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return problem.Wrap(problem.Internal, err, "the answer could not be written")
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(append(body, '\n')) // a caller that is gone does not want it
	return nil
}
