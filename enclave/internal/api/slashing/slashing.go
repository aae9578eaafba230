// Package slashing lets operators see, move, raise and freeze what a running signer's slashing protection has on record.
package slashing

import (
	"encoding/json"
	"net/http"
	"sync"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

// maxImport is the most bytes of a file that is imported.
const maxImport = 1 << 30

// API answers the calls below /api/v1/slashing/. Whoever may write can keep keys from signing for good.
type API struct {
	admin *admin.Admin
	log   *zap.Logger
	most  int64 // bytes of a file

	importing sync.Mutex // held for a whole import: what it has read is in memory, once
}

// New makes the calls' handlers. Each call is one line of the log.
func New(a *admin.Admin, log *zap.Logger) *API { return &API{admin: a, log: log, most: maxImport} }

// Register adds the routes.
func (a *API) Register(mux api.Router) {
	mux.HandleFunc("GET "+admin.RouteStatus, a.recorded(scoped(auth.SlashingRead, a.status)))
	mux.HandleFunc("GET "+admin.RouteExport, a.recorded(scoped(auth.SlashingRead, a.export)))
	mux.HandleFunc("POST "+admin.RouteImport, a.recorded(scoped(auth.SlashingWrite, a.restore)))
	mux.HandleFunc("POST "+admin.RouteRaise, a.recorded(scoped(auth.SlashingWrite, a.raise)))
	mux.HandleFunc("POST "+admin.RouteInit, a.recorded(scoped(auth.SlashingWrite, a.begin)))
	mux.HandleFunc("GET "+admin.RouteHighWatermark, a.recorded(scoped(auth.SlashingRead, a.highWatermarks)))
	mux.HandleFunc("PUT "+admin.RouteHighWatermark, a.recorded(scoped(auth.SlashingWrite, a.setHighWatermark)))
	mux.HandleFunc("DELETE "+admin.RouteHighWatermark, a.recorded(scoped(auth.SlashingWrite, a.removeHighWatermark)))
}

func (a *API) status(w http.ResponseWriter, r *http.Request, _ *event) error {
	if err := none(r); err != nil {
		return err
	}
	s, err := a.admin.Status(r.Context())
	if err != nil {
		return err
	}
	return answer(w, s)
}

// export streams the file. One that cannot be finished must not look like a whole one.
func (a *API) export(w http.ResponseWriter, r *http.Request, _ *event) error {
	if err := none(r); err != nil {
		return err
	}
	_, err := a.admin.Export(r.Context(), begin(w))
	return err
}

func (a *API) restore(w http.ResponseWriter, r *http.Request, e *event) error {
	dryRun, err := dryRun(r)
	if err != nil {
		return err
	}
	e.dryRun = dryRun
	if !a.importing.TryLock() {
		return problem.New(problem.Overloaded, "another import is under way")
	}
	defer a.importing.Unlock()
	file := upload{body: http.MaxBytesReader(w, r.Body, a.most), what: "the file", so: "; nothing was imported"}
	return report(w, e, func(tell admin.Tell) (admin.Summary, error) {
		return a.admin.Import(r.Context(), file, dryRun, tell)
	})
}

func (a *API) raise(w http.ResponseWriter, r *http.Request, e *event) error {
	var lift admin.Lift
	var keys []bls.PublicKey
	dryRun, err := dryRun(r)
	if err == nil {
		err = decode(w, r, fields{
			"slot": height(&lift.Slot), "source_epoch": height(&lift.SourceEpoch), "target_epoch": height(&lift.TargetEpoch), "keys": list(&keys),
		})
	}
	if err != nil {
		return err
	}
	e.keys, e.to, e.dryRun = len(keys), lift, dryRun
	return report(w, e, func(tell admin.Tell) (admin.Summary, error) {
		return a.admin.Raise(r.Context(), lift, keys, dryRun, tell)
	})
}

// begin gives keys that have never signed their first record.
func (a *API) begin(w http.ResponseWriter, r *http.Request, e *event) error {
	var keys []bls.PublicKey
	dryRun, err := dryRun(r)
	if err == nil {
		err = decode(w, r, fields{"keys": list(&keys)})
	}
	switch {
	case err != nil:
		return err
	case keys == nil:
		return problem.New(problem.Malformed, "keys: is missing")
	}
	e.keys, e.dryRun = len(keys), dryRun
	return report(w, e, func(tell admin.Tell) (admin.Summary, error) {
		return a.admin.Init(r.Context(), keys, dryRun, tell)
	})
}

func (a *API) highWatermarks(w http.ResponseWriter, r *http.Request, _ *event) error {
	if err := none(r); err != nil {
		return err
	}
	h, err := a.admin.HighWatermarks(r.Context())
	if err != nil {
		return err
	}
	return answer(w, h)
}

func (a *API) setHighWatermark(w http.ResponseWriter, r *http.Request, e *event) error {
	var limit admin.Limit
	var keys []bls.PublicKey
	err := none(r)
	if err == nil {
		err = decode(w, r, fields{"slot": height(&limit.Slot), "epoch": height(&limit.Epoch), "keys": list(&keys)})
	}
	if err != nil {
		return err
	}
	e.keys, e.to = len(keys), limit
	h, err := a.admin.SetHighWatermark(r.Context(), limit, keys)
	if err != nil {
		return err
	}
	return answer(w, h)
}

func (a *API) removeHighWatermark(w http.ResponseWriter, r *http.Request, e *event) error {
	var keys []bls.PublicKey
	err := none(r)
	if err == nil {
		err = decode(w, r, fields{"keys": list(&keys)})
	}
	if err != nil {
		return err
	}
	e.keys = len(keys)
	h, err := a.admin.RemoveHighWatermark(r.Context(), keys)
	if err != nil {
		return err
	}
	return answer(w, h)
}

// report answers with what becomes of each record. That the caller does not take it changes nothing: it is told when all is done.
func report(w http.ResponseWriter, e *event, do func(admin.Tell) (admin.Summary, error)) error {
	out := admin.NewReportWriter(begin(w))
	var lost error
	s, err := do(func(c admin.Change) error {
		if lost == nil {
			lost = out.Tell(c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.summary = &s
	if lost == nil {
		lost = out.End(s)
	}
	return delivered(lost)
}

// begin says what the body will be, as soon as there is one.
func begin(w http.ResponseWriter) http.ResponseWriter {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	return w
}

func answer(w http.ResponseWriter, v any) error {
	return delivered(json.NewEncoder(begin(w)).Encode(v))
}
