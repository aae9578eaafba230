package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// storeLimit bounds what is written to the table for keys that are opened: it goes on when the time for opening them is over.
const storeLimit = 20 * time.Second

// maxPath is the most bytes of a derivation path that is kept.
const maxPath = 128

// ErrReadOnly is returned for a key that cannot be removed here.
var ErrReadOnly = errors.New("the key is read-only here")

// Keys are those that can sign now, as somebody sees them who adds and removes single ones. It is safe for concurrent use.
type Keys struct {
	intake  *Intake
	loaded  *keystore.Keystore
	persist bool

	mu    sync.Mutex
	paths map[bls.PublicKey]string // of keys that were added here, until they are removed here
}

// NewKeys makes them. With persist added keys are stored, and stored ones can be removed; the intake must have a source then. Else they are in
// memory alone.
func NewKeys(i *Intake, loaded *keystore.Keystore, persist bool) *Keys {
	return &Keys{intake: i, loaded: loaded, persist: persist, paths: map[bls.PublicKey]string{}}
}

// Each calls f with each key, in ascending order: with the derivation path that its keystore had, if it was added here since the process began,
// and whether it cannot be removed here.
func (k *Keys) Each(f func(public bls.PublicKey, path string, readOnly bool)) {
	for _, public := range k.loaded.PublicKeys() {
		source, ok := k.loaded.SourceOf(public)
		if !ok {
			continue // gone since
		}
		k.mu.Lock()
		path := k.paths[public]
		k.mu.Unlock()
		f(public, path, k.readOnly(source) != nil)
	}
}

// Loaded says whether a key can sign now.
func (k *Keys) Loaded(public bls.PublicKey) bool {
	_, ok := k.loaded.SourceOf(public)
	return ok
}

// Import opens EIP-2335 keystores until ctx ends, has choose say which of the keys to add, and adds them. There are as many passwords, which are
// wiped. choose is called once, with a public key for each keystore or why it was not opened, and may choose no key twice; with its error,
// which is returned, nothing is added. tell is called with each chosen one: whether it was there before, what else is to be said of it,
// or why it was not added.
func (k *Keys) Import(
	ctx context.Context, keystores, passwords [][]byte,
	choose func(publics []bls.PublicKey, faults []error) (chosen []bool, err error),
	tell func(n int, duplicate bool, note string, err error),
) error {
	opened, faults := k.intake.open(ctx, keystores, passwords)
	defer func() { wipe(opened) }() // what is left
	publics := make([]bls.PublicKey, len(opened))
	for n, secret := range opened {
		if secret != nil {
			publics[n] = secret.PublicKey()
		}
	}
	chosen, err := choose(publics, faults)
	if err != nil {
		return err
	}
	var add []int
	for n, yes := range chosen {
		if yes && opened[n] != nil {
			add = append(add, n)
		}
	}
	told := func(n int, duplicate bool, note string, err error) {
		if err == nil && !duplicate {
			k.remember(publics[n], pathOf(keystores[n]))
		}
		tell(n, duplicate, note, err)
	}
	if k.persist {
		k.store(ctx, opened, add, told)
	} else {
		k.hold(opened, add, told)
	}
	return nil
}

func wipe(opened []*bls.SecretKey) {
	for _, secret := range opened {
		if secret != nil {
			secret.Wipe()
		}
	}
}

// remember keeps the path of a key; "" forgets it.
func (k *Keys) remember(public bls.PublicKey, path string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if path == "" {
		delete(k.paths, public)
		return
	}
	k.paths[public] = path
}

// hold adds keys to those in memory, which takes them over.
func (k *Keys) hold(opened []*bls.SecretKey, add []int, tell func(n int, duplicate bool, note string, err error)) {
	keys := make([]*keystore.Key, len(add))
	for i, n := range add {
		keys[i] = keystore.NewKey(opened[n])
		opened[n] = nil // the keystore wipes it
	}
	added := map[bls.PublicKey]bool{}
	for _, public := range k.loaded.Apply(keystore.Memory, keys, nil).Added {
		added[public] = true
	}
	for i, n := range add {
		tell(n, !added[keys[i].PublicKey()], "", nil)
	}
}

// store adds keys to the table.
func (k *Keys) store(ctx context.Context, opened []*bls.SecretKey, add []int, tell func(n int, duplicate bool, note string, err error)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	keys := make([]stored.Key, len(add))
	for i, n := range add {
		keys[i] = stored.Key{Secret: opened[n], Status: store.Active}
	}
	for i, r := range k.intake.source.Import(ctx, keys) {
		note := ""
		switch {
		case r.Err != nil || k.Loaded(r.PublicKey):
		case r.Outcome == stored.Duplicate:
			note = "the key is stored already, and does not sign here: it is not active"
		default:
			note = "the key is stored, and does not sign here yet: it is loaded with the next refresh if status_filter has active"
		}
		tell(add[i], r.Outcome == stored.Duplicate, note, r.Err)
	}
}

// Remove removes a key, and says whether there was one. Once it returns, this process makes no signature with the key, also none that was under
// way; only if there is an error the key may still sign. An ErrReadOnly says where it can be removed.
func (k *Keys) Remove(ctx context.Context, public bls.PublicKey) (removed bool, err error) {
	source, ok := k.loaded.SourceOf(public)
	if ok {
		if err := k.readOnly(source); err != nil {
			return false, err
		}
	}
	if ok && source == keystore.Memory {
		if err := k.onlyInMemory(ctx, public); err != nil {
			return false, err
		}
		removed = len(k.loaded.Apply(keystore.Memory, nil, []bls.PublicKey{public}).Removed) > 0
	}
	if k.persist {
		switch err := k.intake.source.Delete(ctx, public); {
		case err == nil:
			removed = true
		case !errors.Is(err, store.ErrNotFound):
			return false, err
		}
	}
	if k.Loaded(public) {
		return false, errors.New("the key was loaded again meanwhile, and signs")
	}
	k.remember(public, "")
	return removed, nil
}

// readOnly is an ErrReadOnly for a source whose keys are not removed here.
func (k *Keys) readOnly(source keystore.Source) error {
	switch source {
	case keystore.Filesystem:
		return fmt.Errorf("%w: it comes from files (key_sources.filesystem); remove it there, and reload", ErrReadOnly)
	case keystore.Stored:
		if !k.persist {
			return fmt.Errorf("%w: it comes from the table of stored keys; delete it with the chamber's calls, or set http.key_manager_api.persist", ErrReadOnly)
		}
	case keystore.Memory:
	}
	return nil
}

// onlyInMemory makes sure that a key of memory does not come back from the table as soon as it is removed.
func (k *Keys) onlyInMemory(ctx context.Context, public bls.PublicKey) error {
	if k.persist || k.intake.source == nil {
		return nil
	}
	switch _, err := k.intake.source.Backup(ctx, public); {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case errors.Is(err, store.ErrUnavailable):
		return fmt.Errorf("the key could come back from the table of stored keys, which does not answer: %w", err)
	}
	return fmt.Errorf("%w: it is in the table of stored keys too, from where it would come back; delete it there first", ErrReadOnly)
}

// pathOf is the derivation path of a keystore that was opened; "" if it has none, or none that anybody would want to see.
func pathOf(text []byte) string {
	var has struct {
		Path string `json:"path"`
	}
	if json.Unmarshal(text, &has) != nil || len(has.Path) > maxPath {
		return ""
	}
	return has.Path
}
