package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// listsNothing are the answers of a signer that has no list, or has none for this token. The import does without.
var listsNothing = []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed} //nolint:gochecknoglobals // constant; Go has no constant lists

// lookUp asks which keys are stored, so that nobody decrypts their keystores again. A list that cannot be read costs only that.
func (k *keyImport) lookUp(ctx context.Context) error {
	var list []byte
	err := k.patiently(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.signer.base.JoinPath(chamber.RouteKeys).String(), http.NoBody)
		if err != nil {
			return err
		}
		return k.signer.send(req, func(r io.Reader) (err error) {
			list, err = io.ReadAll(io.LimitReader(r, maxKeyList))
			return err
		})
	})
	if refused, ok := errors.AsType[*refusalError](err); ok && slices.Contains(listsNothing, refused.status) {
		return nil
	}
	if err != nil {
		return err
	}
	if k.stored, err = storedKeys(list); err != nil {
		k.bar.note(fmt.Sprintf("the signer's list of keys cannot be read: %v; keystores whose keys are stored are sent again", err))
	}
	return nil
}

// storedKeys reads the list of a signer: why a key that is stored does not sign here now, "" if it does or is not meant to. It is nil with an
// error.
func storedKeys(list []byte) (map[bls.PublicKey]string, error) {
	var keys struct {
		Data []chamber.ListedKey `json:"data"`
	}
	if err := json.Unmarshal(list, &keys); err != nil {
		return nil, err
	}
	stored := make(map[bls.PublicKey]string, len(keys.Data))
	for i, key := range keys.Data {
		public, err := bls.ParsePublicKey(key.Pubkey)
		if err != nil {
			return nil, fmt.Errorf("data[%d].pubkey: %w", i, err)
		}
		stored[public] = key.Reason
	}
	return stored, nil
}
