package keymanager

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// importing is an import under way.
type importing struct {
	*API

	caller  auth.Caller
	given   records // what the request brings of the slashing record
	results []result
	publics []bls.PublicKey // of the keystores that were opened
	chosen  []bool
}

// importKeystores adds the keys of keystores, each for itself; but if the record that comes with them cannot be kept, it adds none.
func (a *API) importKeystores(r *http.Request, e *event) (any, error) {
	i := importing{API: a, caller: api.Caller(r)}
	if err := i.caller.May(auth.ImportKeystores); err != nil {
		return nil, err
	}
	leave, err := a.writes.take("imports")
	if err != nil {
		return nil, err
	}
	defer leave()
	body, err := api.ReadBody(r)
	if err != nil {
		return nil, err
	}
	defer clear(body) // what follows are parts of it
	in, err := readImport(body, a.o.MaxItems)
	if err != nil {
		return nil, err
	}
	if err := a.ready(); err != nil {
		return nil, err
	}
	if len(in.keystores) == 0 {
		return importAnswer{Data: []result{}}, nil
	}
	if i.given, err = a.parseHistory(in.history); err != nil {
		return nil, err
	}
	if err := i.run(r.Context(), in); err != nil {
		return nil, err
	}
	e.fields = []zap.Field{zap.Bool("slashing_protection", len(in.history) > 0)}
	e.tells(i.results, imported, i.publics)
	return importAnswer{Data: i.results}, nil
}

// run opens the keystores, which takes long, and then, while no other request adds or removes keys, merges the record of those that are
// to be added, and adds them.
func (i *importing) run(caller context.Context, in importRequest) error {
	i.results = make([]result, len(in.keystores))
	opening, cancel := context.WithTimeout(caller, i.o.Timeout)
	defer cancel()
	leave := func() {}
	defer func() { leave() }()
	choose := func(publics []bls.PublicKey, faults []error) ([]bool, error) {
		if errors.Is(caller.Err(), context.Canceled) {
			return nil, problem.New(problem.Overloaded, "the caller is gone; nothing was imported")
		}
		ctx, cancel := detached(caller, recordLimit)
		defer cancel()
		var err error
		if leave, err = i.alone(ctx); err != nil {
			leave = func() {}
			return nil, err
		}
		i.judge(publics, faults)
		return i.chosen, i.merge(ctx, i.given, i.keys())
	}
	err := i.o.Keys.Import(opening, in.keystores, in.passwords, choose, func(n int, was bool, note string, err error) { // from here keys may be added
		switch {
		case err != nil:
			i.results[n] = failure(err)
		case was:
			i.results[n] = result{duplicate, note}
		default:
			i.results[n] = result{imported, note}
		}
	})
	if err == nil {
		i.tellAhead()
		i.tellUnknown(caller)
	}
	return err
}

// judge decides which keys to add, and says of the others why not.
func (i *importing) judge(publics []bls.PublicKey, faults []error) {
	i.publics, i.chosen = publics, make([]bool, len(publics))
	seen := map[bls.PublicKey]bool{}
	for n, public := range publics {
		if err := faults[n]; err != nil {
			i.results[n] = i.unopened(err)
			continue
		}
		if err := i.caller.MayFor(auth.ImportKeystores, public); err != nil {
			i.results[n] = failure(errors.New(problem.Of(err).Public))
			continue
		}
		_, brought := i.given[public]
		switch {
		case seen[public]:
			i.results[n] = result{duplicate, "the same key is in this request before"}
		case !i.o.Keys.Loaded(public):
			i.chosen[n] = true
		case brought:
			i.results[n] = result{duplicate, "the key is loaded already, and slashing_protection was not taken over for it"}
		default:
			i.results[n] = result{duplicate, "the key is loaded already"}
		}
		seen[public] = true
	}
}

func (i *importing) unopened(err error) result {
	if errors.Is(err, context.DeadlineExceeded) {
		return result{failed, fmt.Sprintf("timed out: the request may take %s (http.key_manager_api.request_timeout_seconds); send this keystore again, with fewer others", i.o.Timeout)}
	}
	return failure(err)
}

// keys are those to be added.
func (i *importing) keys() (keys []bls.PublicKey) {
	for n, yes := range i.chosen {
		if yes {
			keys = append(keys, i.publics[n])
		}
	}
	return keys
}

// tellAhead says of imported keys that the record they came with keeps them from voting until the chain is there, which nothing can mend. A
// clock may be a little fast.
func (i *importing) tellAhead() {
	now, ok := i.o.Network.EpochAt(time.Now())
	if !ok {
		return
	}
	for n, r := range i.results {
		given, brought := i.given[i.publics[n]]
		if r.Status != imported || !brought {
			continue
		}
		epoch := uint64(0)
		if given.Attestation != nil {
			epoch = given.Attestation.Target
		}
		if given.Block != nil {
			epoch = max(epoch, i.o.Network.EpochOf(given.Block.Slot))
		}
		if epoch > now+1 {
			i.results[n].Message = fmt.Sprintf("its slashing protection reaches epoch %d, and it is epoch %d: until then the key does not sign all that is asked", epoch, now)
		}
	}
}

// tellUnknown says of imported keys without a record that they sign no vote.
func (i *importing) tellUnknown(caller context.Context) {
	if !i.o.KnownOnly || i.o.Ledger == nil {
		return
	}
	added := map[bls.PublicKey]bool{}
	for n, r := range i.results {
		if r.Status == imported {
			added[i.publics[n]] = true
		}
	}
	ctx, cancel := detached(caller, recordLimit)
	defer cancel()
	known, err := i.read(ctx, added)
	if err != nil {
		i.o.Log.Warn("whether imported keys have a record could not be told to the caller", zap.Error(err))
		return
	}
	for n, r := range i.results {
		if _, ok := known[i.publics[n]]; r.Status == imported && !ok {
			i.results[n].Message = "the key signs no block and no attestation: there is no record of it, and anti_slashing.unknown_keys is refuse; " +
				"import its history, or for a key that has never signed run containment-chamber slashing init --key " + i.publics[n].String()
		}
	}
}
