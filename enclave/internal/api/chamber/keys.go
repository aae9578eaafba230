package chamber

import (
	"net/http"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// MaxKeystores is how many keystores a request may have.
const MaxKeystores = 100

// importKeys stores the keys of EIP-2335 keystores, each for itself: one that cannot be opened or stored does not stop the others.
func (a *API) importKeys(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var keystores, passwords []string
	if err := decode(r, map[string]field{
		"keystores": {&keystores, "an array of EIP-2335 keystores, each in a string", true},
		"passwords": {&passwords, "an array of strings", true},
	}); err != nil {
		return nil, err
	}
	switch {
	case len(keystores) == 0:
		return nil, problem.New(problem.Malformed, "keystores: is empty")
	case len(keystores) > MaxKeystores:
		return nil, problem.New(problem.Malformed, "keystores: has %d keystores, more than %d", len(keystores), MaxKeystores)
	case len(keystores) != len(passwords):
		return nil, problem.New(problem.Malformed, "passwords: has %d, and there are %d keystores", len(passwords), len(keystores))
	}
	out := KeyResults{Data: make([]KeyResult, len(keystores))}
	counts := map[string]int{}
	a.o.Importer.Import(r.Context(), keystores, passwords, func(n int, publicKey string, duplicate bool, err error) {
		k := KeyResult{Status: Imported, Pubkey: publicKey}
		switch {
		case err != nil:
			k.Status, k.Message = Failed, err.Error()
		case duplicate:
			k.Status = Duplicate
		}
		out.Data[n] = k
		counts[k.Status]++
	})
	e.fields = []zap.Field{zap.Int("imported", counts[Imported]), zap.Int("duplicates", counts[Duplicate]), zap.Int("errors", counts[Failed])}
	return out, nil
}
