package keymanager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// deleting is a deletion under way.
type deleting struct {
	*API

	caller  auth.Caller
	publics []bls.PublicKey
	results []result
	asked   map[bls.PublicKey]bool // those whose record is to be read
	gone    map[bls.PublicKey]bool // those that were removed
}

// deleteKeys has keys sign no more, and then answers with what is on record for them. A vote is on record before it is signed, and nothing
// is signed any more when the record is read: so it has every vote that was ever signed here.
func (a *API) deleteKeys(r *http.Request, e *event) (any, error) {
	d := deleting{API: a, caller: api.Caller(r), asked: map[bls.PublicKey]bool{}, gone: map[bls.PublicKey]bool{}}
	if err := d.caller.May(auth.DeleteKeys); err != nil {
		return nil, err
	}
	leave, err := a.reads.take("lists and deletions")
	if err != nil {
		return nil, err
	}
	defer leave()
	body, err := api.ReadBody(r)
	if err != nil {
		return nil, err
	}
	if d.publics, err = readDelete(body, a.o.MaxItems); err != nil {
		return nil, err
	}
	if err := a.ready(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.o.Timeout)
	defer cancel()
	if err := a.o.Check(ctx); err != nil {
		return nil, problem.Wrap(problem.StoreUnavailable, err, "the slashing protection store could not be asked for the record of the keys; nothing was deleted")
	}
	leave, err = a.alone(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	d.remove(ctx)
	text, err := d.export(r.Context())
	if err != nil {
		return d.unread(e, err)
	}
	e.tells(d.results, deleted, d.publics)
	return deleteAnswer{Data: d.results, SlashingProtection: text}, nil
}

// remove has the keys sign no more, as far as the caller may have that.
func (d *deleting) remove(ctx context.Context) {
	d.results = make([]result, len(d.publics))
	for n, public := range d.publics {
		if err := d.caller.MayFor(auth.DeleteKeys, public); err != nil {
			d.results[n] = failure(errors.New(problem.Of(err).Public))
			continue
		}
		if ctx.Err() != nil {
			d.results[n] = result{failed, fmt.Sprintf("timed out: the request may take %s (http.key_manager_api.request_timeout_seconds), and the key still signs; send it again", d.o.Timeout)}
			continue
		}
		removed, err := d.o.Keys.Remove(ctx, public)
		switch {
		case err != nil:
			d.results[n] = failure(err)
			continue
		case removed:
			d.results[n] = result{Status: deleted}
			d.gone[public] = true
		}
		d.asked[public] = true
	}
}

// export reads the record, and completes the results by it.
func (d *deleting) export(caller context.Context) (string, error) {
	ctx, cancel := detached(caller, d.o.Settle+recordLimit)
	defer cancel()
	if len(d.asked) > 0 { // also of what another replica has deleted: it may be waiting still
		if err := wait(ctx, d.o.Settle); err != nil {
			return "", err
		}
	}
	found, err := d.read(ctx, d.asked)
	if err != nil {
		return "", err
	}
	for n, public := range d.publics {
		_, known := found[public]
		switch {
		case d.results[n].Status == failed:
		case d.o.Keys.Loaded(public): // by a reload, or by an operator
			d.results[n] = result{failed, "the key was loaded again while it was being deleted, and signs"}
			delete(found, public)
		case d.results[n].Status == deleted:
		case known:
			d.results[n] = result{Status: notActive}
		default:
			d.results[n] = result{Status: notFound}
		}
	}
	return d.write(found, slices.SortedFunc(maps.Keys(found), func(a, b bls.PublicKey) int { return bytes.Compare(a[:], b[:]) }))
}

// wait returns when the time is over, or ctx.
func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unread is the answer if the record could not be read: keys are gone that nobody may use elsewhere yet.
func (d *deleting) unread(e *event, err error) (any, error) {
	e.tells(d.results, deleted, d.publics)
	p := problem.Wrap(problem.StoreUnavailable, err,
		"the record of the keys could not be read; those that were deleted sign no more, but do not use them elsewhere: send the same request again, which answers with their record")
	for n, r := range d.results {
		switch {
		case r.Status == failed:
		case d.gone[d.publics[n]]:
			d.results[n] = result{failed, "deleted here; its record could not be read: send the request again before it is used elsewhere"}
		default:
			d.results[n] = result{failed, "its record could not be read: send the request again"}
		}
	}
	return unreadAnswer{Code: p.Kind.Status(), Message: p.Public, Error: p.Public, Data: d.results}, p
}
