package eth2

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// highWatermark tells the greatest heights that are signed, of those that are limited.
func (a *API) highWatermark(w http.ResponseWriter, r *http.Request) {
	if err := api.Caller(r).May(auth.PublicKeys); err != nil {
		api.WriteProblem(w, err)
		return
	}
	high := slashing.NoHighWatermark()
	if a.deps.HighWatermark != nil {
		var err error
		if high, err = a.deps.HighWatermark(r.Context()); err != nil {
			api.WriteProblem(w, problem.Wrap(problem.StoreUnavailable, err, "the slashing protection store is unavailable"))
			return
		}
	}
	limits := make(map[string]string, 2)
	if high.Epoch < slashing.MaxHeight {
		limits["epoch"] = strconv.FormatUint(high.Epoch, 10)
	}
	if high.Slot < slashing.MaxHeight {
		limits["slot"] = strconv.FormatUint(high.Slot, 10)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(limits) // a caller that is gone does not want it
}
