// Package reload starts a reload of the keys when asked, and tells how the last one went.
package reload

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// Totals counts keys.
type Totals struct {
	Loaded  int `json:"loaded"`  // that can sign now, of all sources
	Added   int `json:"added"`   // by the last reload
	Removed int `json:"removed"` // by the last reload
	Failed  int `json:"failed"`  // that the last reload could not load, those included that stay loaded
}

// Load reads the keys again. Its error is for the whole, and means that nothing has changed.
type Load func(context.Context) (Totals, error)

// Status is where the reloads are, in Web3Signer's words.
type Status string

// The statuses.
const (
	Idle                Status = "idle" // none was asked for
	Running             Status = "running"
	Completed           Status = "completed"
	CompletedWithErrors Status = "completed_with_errors" // some keys could not be loaded
	Failed              Status = "failed"                // nothing has changed
)

const stopping = "the process is stopping"

// report is the answer of GET /reload.
type report struct {
	Status Status     `json:"status"`
	Ended  *time.Time `json:"lastOperationTime,omitempty"` // of the last reload that has ended
	Error  string     `json:"lastError,omitempty"`
	Keys   *Totals    `json:"keys,omitempty"`
}

// Reloads runs one reload at a time.
type Reloads struct {
	load Load
	wake chan struct{} // holds one element while a reload waits for Run

	mu      sync.Mutex // held while the fields below are read or changed
	report  report
	stopped bool // Run has ended: no reload would begin
}

// New makes a Reloads that has run none.
func New(load Load) *Reloads {
	return &Reloads{load: load, wake: make(chan struct{}, 1), report: report{Status: Idle}}
}

// Register adds the two routes.
func (r *Reloads) Register(mux api.Router) {
	mux.HandleFunc("POST /reload", allowed(r.post))
	mux.HandleFunc("GET /reload", allowed(r.get))
}

// allowed lets callers through who may reload.
func allowed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := api.Caller(r).May(auth.Reload); err != nil {
			api.WriteProblem(w, err)
			return
		}
		h(w, r)
	}
}

// Run carries out the reloads that are asked for until ctx ends, which also ends the one under way.
func (r *Reloads) Run(ctx context.Context) error {
	defer r.stop()
	for {
		select {
		case <-r.wake:
		case <-ctx.Done():
			return nil
		}
		r.end(r.load(ctx))
	}
}

// begin takes the turn of the next reload. The error is a refusal; busy is true if one is running.
func (r *Reloads) begin() (busy bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopped:
		return false, problem.New(problem.Sealed, stopping)
	case r.report.Status == Running:
		return true, nil
	}
	r.report.Status = Running
	r.wake <- struct{}{} // does not block: only one at a time gets here, and Run has emptied it before the status changed
	return false, nil
}

func (r *Reloads) end(totals Totals, err error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	done := report{Status: Completed, Ended: &now, Keys: &totals}
	switch {
	case err != nil:
		done = report{Status: Failed, Ended: &now, Error: err.Error()}
	case totals.Failed > 0:
		done.Status = CompletedWithErrors
		done.Error = "some keys could not be loaded; the log names each file and the reason"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report = done
}

// stop also tells of a reload that was asked for, and that Run did not come to.
func (r *Reloads) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	if r.report.Status == Running {
		r.report = report{Status: Failed, Ended: r.report.Ended, Error: stopping}
	}
}

// message is the answer of POST /reload, in the form of every error when it is one.
type message struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Error   string `json:"error,omitempty"`
}

func (r *Reloads) post(w http.ResponseWriter, _ *http.Request) {
	busy, err := r.begin()
	switch {
	case err != nil:
		api.WriteProblem(w, err)
	case busy:
		const running = "a reload is running already"
		writeJSON(w, http.StatusConflict, message{Code: http.StatusConflict, Message: running, Error: running})
	default:
		writeJSON(w, http.StatusAccepted, message{Code: http.StatusAccepted, Message: "reload started"})
	}
}

func (r *Reloads) get(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	now := r.report
	r.mu.Unlock()
	writeJSON(w, http.StatusOK, now)
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a caller that is gone does not want it
}
