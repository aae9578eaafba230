package chamber

import (
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// MaxKeys is how many stored keys a request may change.
const MaxKeys = 100

// setStatus makes stored keys active or inactive.
func (a *API) setStatus(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var texts []string
	var text string
	if err := decode(r, map[string]field{"pubkeys": {&texts, wantKeys, true}, "status": {&text, "active or inactive", true}}); err != nil {
		return nil, err
	}
	var status store.Status
	switch text {
	case store.Active.String():
		status = store.Active
	case store.Inactive.String():
		status = store.Inactive
	default:
		return nil, problem.New(problem.Malformed, "status: %s, want active or inactive", quote(text))
	}
	return a.eachKey(texts, e, text, func(key bls.PublicKey) error { return a.o.Changer.SetStatus(r.Context(), key, status) })
}

// deleteKeys deletes stored keys, for good unless there is a backup.
func (a *API) deleteKeys(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var texts []string
	if err := decode(r, map[string]field{"pubkeys": {&texts, wantKeys, true}}); err != nil {
		return nil, err
	}
	return a.eachKey(texts, e, Deleted, func(key bls.PublicKey) error { return a.o.Changer.Delete(r.Context(), key) })
}

// eachKey changes keys, each for itself. After a store that does not answer no other is tried.
func (a *API) eachKey(texts []string, e *event, done string, change func(bls.PublicKey) error) (any, error) {
	switch {
	case len(texts) == 0:
		return nil, problem.New(problem.Malformed, "pubkeys: is empty")
	case len(texts) > MaxKeys:
		return nil, problem.New(problem.Malformed, "pubkeys: has %d keys, more than %d", len(texts), MaxKeys)
	}
	keys, err := publicKeys(&texts)
	if err != nil {
		return nil, err
	}
	out := KeyResults{Data: make([]KeyResult, len(keys))}
	counts := map[string]int{}
	var away error
	for i, key := range keys {
		k := KeyResult{Status: done, Pubkey: bls.PublicKey(key).String()}
		err := away
		if err == nil {
			err = change(key)
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			k.Status = NotFound
		case err != nil:
			k.Status, k.Message = Failed, err.Error()
		}
		if errors.Is(err, store.ErrUnavailable) {
			away = err
		}
		out.Data[i] = k
		counts[k.Status]++
	}
	e.fields = []zap.Field{
		zap.String("change", done), zap.Strings("pubkeys", texts), zap.Int("done", counts[done]), zap.Int("not_found", counts[NotFound]), zap.Int("errors", counts[Failed]),
	}
	return out, nil
}
