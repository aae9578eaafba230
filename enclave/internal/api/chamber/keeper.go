package chamber

import (
	"context"
	"errors"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

// Keeper keeps policies in a chamber, for [auth.Policies].
type Keeper struct{ Chamber *chamber.Chamber }

// CheckSetupToken implements auth.Keeper.
func (k Keeper) CheckSetupToken(token string) error { return unknown(k.Chamber.CheckSetupToken(token)) }

// CheckManagementToken implements auth.Keeper.
func (k Keeper) CheckManagementToken(token string) (string, error) {
	id, err := k.Chamber.CheckRootToken(token)
	return id, unknown(err)
}

// MAC implements auth.Keeper.
func (k Keeper) MAC(token string) ([]byte, error) { return k.Chamber.TokenMAC(token) }

// Document implements auth.Keeper.
func (k Keeper) Document() ([]byte, string, error) { return k.Chamber.PolicyDocument() }

// Change implements auth.Keeper.
func (k Keeper) Change(ctx context.Context, what string, edit func([]byte) ([]byte, error)) error {
	return k.Chamber.ChangePolicies(ctx, what, edit)
}

// Reset implements auth.Keeper.
func (k Keeper) Reset(ctx context.Context) error { return k.Chamber.ResetPolicies(ctx) }

// unknown is auth's word for a token that is not valid.
func unknown(err error) error {
	if errors.Is(err, chamber.ErrToken) {
		return unknownError{err}
	}
	return err
}

// unknownError is an auth.ErrUnknown with the chamber's words.
type unknownError struct{ error }

func (unknownError) Is(target error) bool { return target == auth.ErrUnknown }
