package chamber

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// MaxKeystores is how many keystores a request may have, unless its Bound says otherwise.
const MaxKeystores = defaultItems

// storage says where imported keys go.
type storage struct{ persist bool }

// UnmarshalJSON implements json.Unmarshaler.
func (s *storage) UnmarshalJSON(text []byte) error {
	return read(text, map[string]field{"persist": {&s.persist, "true or false", true}})
}

var _ json.Unmarshaler = (*storage)(nil)

// importKeys adds the keys of EIP-2335 keystores, each for itself: one that cannot be opened or stored does not stop the others.
func (a *API) importKeys(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var keystores, passwords []string
	to := storage{persist: true}
	if err := decode(r, map[string]field{
		"keystores": {(*list)(&keystores), "an array of EIP-2335 keystores, each in a string", true},
		"passwords": {(*list)(&passwords), "an array of strings", true},
		"storage":   {&to, "an object with persist, true or false", false},
	}); err != nil {
		return nil, err
	}
	switch most := a.o.Import.MaxItems; {
	case len(keystores) == 0:
		return nil, problem.New(problem.Malformed, "keystores: is empty")
	case len(keystores) > most:
		return nil, problem.New(problem.Malformed, "keystores: has %d keystores, more than %d", len(keystores), most)
	case len(keystores) != len(passwords):
		return nil, problem.New(problem.Malformed, "passwords: has %d, and there are %d keystores", len(passwords), len(keystores))
	}
	importer := a.o.Importer
	if !to.persist {
		importer = a.o.Holder
	}
	i := importing{API: a, caller: api.Caller(r), results: make([]KeyResult, len(keystores))}
	err := importer.Import(r.Context(), bytesOf(keystores), bytesOf(passwords), i.choose, i.tell)
	if err != nil {
		return nil, refused(err)
	}
	counts := count(i.results)
	e.fields = []zap.Field{
		zap.Bool("persist", to.persist), zap.Int("imported", counts[Imported]), zap.Int("duplicates", counts[Duplicate]), zap.Int("errors", counts[Failed]),
	}
	return KeyResults{Data: i.results}, nil
}

func bytesOf(texts []string) [][]byte {
	all := make([][]byte, len(texts))
	for n, text := range texts {
		all[n] = []byte(text)
	}
	return all
}

func count(results []KeyResult) map[string]int {
	counts := map[string]int{}
	for _, r := range results {
		counts[r.Status]++
	}
	return counts
}

// importing is an import under way.
type importing struct {
	*API

	caller  auth.Caller
	results []KeyResult
}

// choose says which of the opened keys the caller may add, and adds each once.
func (i *importing) choose(publics []bls.PublicKey, faults []error) ([]bool, error) {
	chosen, seen := make([]bool, len(publics)), map[bls.PublicKey]bool{}
	for n, public := range publics {
		if err := faults[n]; err != nil {
			i.results[n] = KeyResult{Status: Failed, Message: i.timed(err)}
			continue
		}
		k := KeyResult{Pubkey: public.String()}
		err := i.caller.MayFor(auth.ChamberKeysImport, public)
		switch {
		case err != nil:
			k.Status, k.Message = Failed, problem.Of(err).Public
		case seen[public]:
			k.Status, k.Message = Duplicate, "the same key is in this request before"
		default:
			chosen[n], seen[public] = true, true
		}
		i.results[n] = k
	}
	return chosen, nil
}

func (i *importing) timed(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("timed out: the request may take %s; send this keystore again, with fewer others", i.o.Import.Timeout)
	}
	return err.Error()
}

func (i *importing) tell(n int, duplicate bool, note string, err error) {
	k := &i.results[n]
	k.Status, k.Message = Imported, note
	switch {
	case err != nil:
		k.Status, k.Message = Failed, err.Error()
	case duplicate:
		k.Status = Duplicate
	}
}
