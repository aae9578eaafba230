package chamber

import (
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// MaxKeys is how many stored keys a request may change, unless its Bound says otherwise.
const MaxKeys = defaultChanges

const wantStatus = "active or inactive"

func parseStatus(text string) (store.Status, error) {
	switch text {
	case store.Active.String():
		return store.Active, nil
	case store.Inactive.String():
		return store.Inactive, nil
	}
	return 0, problem.New(problem.Malformed, "status: %s, want active or inactive", quote(text))
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// setStatus makes stored keys active or inactive.
func (a *API) setStatus(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var texts []string
	var text string
	if err := decode(r, map[string]field{"pubkeys": {&texts, wantKeys, true}, "status": {&text, wantStatus, true}}); err != nil {
		return nil, err
	}
	status, err := parseStatus(text)
	if err != nil {
		return nil, err
	}
	return a.eachKey(r, texts, e, text, auth.ChamberKeysPatch, func(key bls.PublicKey) error { return a.o.Changer.SetStatus(r.Context(), key, status) })
}

// deleteKeys deletes stored keys, for good unless there is a backup.
func (a *API) deleteKeys(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var texts []string
	if err := decode(r, map[string]field{"pubkeys": {&texts, wantKeys, true}}); err != nil {
		return nil, err
	}
	return a.eachKey(r, texts, e, Deleted, auth.ChamberKeysDelete, func(key bls.PublicKey) error { return a.o.Changer.Delete(r.Context(), key) })
}

// eachKey changes keys, each for itself, as far as the caller may. After a store that does not answer, and after the time of the request, no other
// is tried.
func (a *API) eachKey(r *http.Request, texts []string, e *event, done string, scope auth.Scope, change func(bls.PublicKey) error) (any, error) {
	switch most := a.o.Lifecycle.MaxItems; {
	case len(texts) == 0:
		return nil, problem.New(problem.Malformed, "pubkeys: is empty")
	case len(texts) > most:
		return nil, problem.New(problem.Malformed, "pubkeys: has %d keys, more than %d", len(texts), most)
	}
	keys, err := publicKeys(&texts)
	if err != nil {
		return nil, err
	}
	out, caller := KeyResults{Data: make([]KeyResult, len(keys))}, api.Caller(r)
	var away error
	for i, key := range keys {
		k := KeyResult{Status: done, Pubkey: bls.PublicKey(key).String()}
		err, may := away, caller.MayFor(scope, key)
		switch {
		case may != nil:
			err = errors.New(problem.Of(may).Public)
		case err == nil && r.Context().Err() != nil:
			err = fmt.Errorf("timed out: the request may take %s, and the key is as it was; send it again", a.o.Lifecycle.Timeout)
		case err == nil:
			err = change(key)
		}
		switch {
		case isNotFound(err):
			k.Status = NotFound
		case err != nil:
			k.Status, k.Message = Failed, err.Error()
		}
		if errors.Is(err, store.ErrUnavailable) {
			away = err
		}
		out.Data[i] = k
	}
	counts := count(out.Data)
	e.fields = []zap.Field{
		zap.String("change", done), zap.Strings("pubkeys", texts), zap.Int("done", counts[done]), zap.Int("not_found", counts[NotFound]), zap.Int("errors", counts[Failed]),
	}
	return out, nil
}
