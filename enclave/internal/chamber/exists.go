package chamber

import (
	"context"
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// Exists says whether a signer state holds a chamber.
func Exists(ctx context.Context, state store.State) (bool, error) {
	switch _, err := state.Get(ctx, manifestName); {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the signer state: %w", err)
	}
	return true, nil
}
