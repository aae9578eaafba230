package chamber

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/deposit"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// Generated is the answer of a request for new keys.
type Generated struct {
	Data []GeneratedKey `json:"data"`
	// DepositData are entries of those keys that are stored, in the form of a deposit_data file; not there if none were asked for.
	DepositData []deposit.Data `json:"deposit_data,omitempty"`
	// Backup is the mnemonic of all of them, encrypted, the text of an age file; not there if there are no recipients.
	Backup string `json:"backup,omitempty"`
}

// GeneratedKey is what became of one new key.
type GeneratedKey struct {
	KeyResult

	Path string `json:"path"` // in the mnemonic's tree (EIP-2334)
}

// generateKeys makes new keys of one mnemonic. Nobody hears of one before it is stored, so that whoever deposits for it can sign with it.
func (a *API) generateKeys(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var number int
	var text string
	var canary bool
	var wanted *wantedDeposit
	if err := decode(r, map[string]field{
		"count":   {&number, "a whole number", true},
		"status":  {&text, wantStatus, false},
		"canary":  {&canary, "true or false", false},
		"deposit": {&wanted, "an object with withdrawal_address or withdrawal_credentials, 0x and digits, and amount_gwei, a number", false},
	}); err != nil {
		return nil, err
	}
	if number < 1 || number > a.o.Generate.MaxItems {
		return nil, problem.New(problem.Malformed, "count: %d, want 1 to %d", number, a.o.Generate.MaxItems)
	}
	status := store.Active
	if text != "" {
		var err error
		if status, err = parseStatus(text); err != nil {
			return nil, err
		}
	}
	terms, err := wanted.terms(a.o.Network)
	if err != nil {
		return nil, problem.New(problem.Malformed, "deposit: %v", err)
	}
	return a.generate(r, e, number, status, canary, terms)
}

func (a *API) generate(r *http.Request, e *event, number int, status store.Status, canary bool, terms *deposit.Terms) (any, error) {
	out, stored, caller := Generated{Data: make([]GeneratedKey, 0, number)}, 0, api.Caller(r)
	backup, err := a.o.Generator.Generate(r.Context(), number, status, canary, terms,
		func(public bls.PublicKey) error { return caller.MayFor(auth.ChamberKeysGenerate, public) },
		func(public bls.PublicKey, path string, data *deposit.Data, err error) {
			k := GeneratedKey{KeyResult{Status: status.String(), Pubkey: public.String()}, path}
			if err != nil {
				k.Status, k.Message = Failed, err.Error()
			} else {
				stored++
			}
			if data != nil {
				out.DepositData = append(out.DepositData, *data)
			}
			out.Data = append(out.Data, k)
		})
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil, problem.Wrap(problem.Overloaded, err, "the keys were not made in the time of the request; nothing is stored")
	case err != nil:
		return nil, refused(err)
	}
	if stored > 0 {
		out.Backup = string(backup)
	}
	e.fields = []zap.Field{
		zap.Int("generated", stored), zap.Int("errors", number-stored), zap.String("first_pubkey", out.Data[0].Pubkey),
		zap.String("key_status", status.String()), zap.Bool("backup", len(backup) > 0), zap.Int("deposits", len(out.DepositData)),
	}
	return out, nil
}
