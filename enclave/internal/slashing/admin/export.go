package admin

import (
	"context"
	"io"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
)

// Export writes every record as a minimal EIP-3076 interchange file, one line for each key. What was written is of no use if there is
// an error. A warning says what the reader of the file should know.
func (a *Admin) Export(ctx context.Context, w io.Writer) (warnings []string, err error) {
	id, err := a.identify(ctx)
	if err != nil {
		return nil, err
	}
	if !id.Pinned {
		warnings = []string{"the store belongs to no network yet; the file says that it is for " + a.network.Name + ", because the configuration does"}
	}
	err = interchange.Write(w, a.network.ValidatorsRoot, func(f func(slashing.Record) error) error {
		var failed error // f's own, which is not the store's
		err := a.ledger.Each(ctx, func(r slashing.Record) error {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			failed = f(r)
			return failed
		})
		if err != nil && failed == nil {
			err = unread(err)
		}
		return err
	})
	return warnings, err
}
