// Package health tells whether the process lives, works and may get traffic.
package health

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
)

// checkTimeout bounds one check, so that a store that hangs makes an answer and not a wait.
const checkTimeout = 3 * time.Second

// Progress is the start of the process, stage by stage.
type Progress interface {
	// Missing is the stage that is not done, with the reason as far as one is known; done is true when all are.
	Missing() (stage string, reason error, done bool)
}

// Check is one part of the process.
type Check struct {
	// ID names the part in answers.
	ID string
	// Replica is true if a fault of it is a fault of this replica alone, which /readyz reports; a shared store
	// that is down must not take every replica out of service.
	Replica bool
	// Probe returns data to show, and why the part is down, or nil.
	Probe func(context.Context) (data map[string]any, err error)
}

// Health answers /upcheck, /healthcheck and /readyz.
type Health struct {
	progress Progress
	checks   atomic.Pointer[[]Check] // set once, when the parts exist
	draining atomic.Bool
	parting  atomic.Bool             // the parent is about to stop
	latest   atomic.Pointer[outcome] // of the last look at all checks; nil before
}

// New makes the answers of a process that is starting.
func New(progress Progress) *Health {
	h := &Health{progress: progress}
	h.checks.Store(&[]Check{})
	return h
}

// SetChecks names the parts to ask from now on.
func (h *Health) SetChecks(checks []Check) { h.checks.Store(&checks) }

// Drain makes the process not ready for good.
func (h *Health) Drain() { h.draining.Store(true) }

// SetParentDraining makes the process not ready for as long as its parent is about to stop.
func (h *Health) SetParentDraining(draining bool) { h.parting.Store(draining) }

// Draining says whether clients are to leave.
func (h *Health) Draining() bool { return h.draining.Load() || h.parting.Load() }

// Starting returns the stage that is missing and the reason as far as one is known; ok is false when all are done.
func (h *Health) Starting() (stage string, reason error, ok bool) {
	stage, reason, done := h.progress.Missing()
	return stage, reason, !done
}

// Register adds the three routes.
func (h *Health) Register(mux api.Router) {
	mux.HandleFunc("GET /upcheck", upcheck)
	mux.HandleFunc("GET /healthcheck", h.healthcheck)
	mux.HandleFunc("GET /readyz", h.readyz)
}

// upcheck says that the process lives. Callers disagree about its form: text unless JSON is asked for.
func upcheck(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, http.StatusOK, map[string]string{"status": "OK"})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("OK"))
}

// result is one check in the form that Web3Signer answers with.
type result struct {
	ID     string         `json:"id"`
	Status string         `json:"status"`
	Data   map[string]any `json:"data,omitempty"`
}

type answer struct {
	Status  string   `json:"status"`
	Checks  []result `json:"checks"`
	Outcome string   `json:"outcome"`
}

func (h *Health) healthcheck(w http.ResponseWriter, r *http.Request) {
	write(w, h.judge(r.Context()))
}

func (h *Health) readyz(w http.ResponseWriter, r *http.Request) {
	write(w, h.ask(r.Context(), func(c Check) bool { return c.Replica }))
}

// ask returns the check "boot" and those that are wanted.
func (h *Health) ask(ctx context.Context, wanted func(Check) bool) []result {
	results := []result{h.boot()}
	for _, c := range *h.checks.Load() {
		if wanted(c) {
			results = append(results, probe(ctx, c))
		}
	}
	return results
}

// boot is the check that every answer begins with: is anything missing from the start, or has the end begun?
func (h *Health) boot() result {
	if h.draining.Load() {
		return result{ID: "boot", Status: down, Data: map[string]any{"reason": "draining: the process is stopping"}}
	}
	if h.parting.Load() {
		return result{ID: "boot", Status: down, Data: map[string]any{"reason": "draining: the parent is about to stop"}}
	}
	stage, reason, done := h.progress.Missing()
	if done {
		return result{ID: "boot", Status: up}
	}
	data := map[string]any{"missing-stage": stage}
	if reason != nil {
		data["reason"] = reason.Error()
	}
	return result{ID: "boot", Status: down, Data: data}
}

func probe(ctx context.Context, c Check) result {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	data, err := c.Probe(ctx)
	if err == nil {
		return result{ID: c.ID, Status: up, Data: data}
	}
	if data == nil {
		data = map[string]any{}
	}
	data["reason"] = err.Error()
	return result{ID: c.ID, Status: down, Data: data}
}

const (
	up   = "UP"
	down = "DOWN"
)

func write(w http.ResponseWriter, results []result) {
	a, code := answer{Status: up, Checks: results, Outcome: up}, http.StatusOK
	if !allUp(results) {
		a.Status, a.Outcome, code = down, down, http.StatusServiceUnavailable
	}
	writeJSON(w, code, a)
}

func allUp(results []result) bool {
	return !slices.ContainsFunc(results, func(r result) bool { return r.Status == down })
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a caller that is gone does not want it
}
