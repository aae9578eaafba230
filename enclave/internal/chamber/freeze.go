package chamber

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

const (
	frozenKind = "frozen"
	// keysPerItem keeps an item of 48 bytes a key below store.MaxItem.
	keysPerItem = 6000
	// MaxFrozen is how many keys can be frozen one by one.
	MaxFrozen = 100_000
	// maxFrozenItems is how many items all of them take.
	maxFrozenItems = (MaxFrozen + keysPerItem - 1) / keysPerItem
)

// frozen is what must not sign. It does not change.
type frozen struct {
	all   bool
	keys  map[[48]byte]struct{}
	items []content // that the keys were read from; nil if not all could be
	whole bool
}

// freeze records a freeze.
func (c *Chamber) freeze(ctx context.Context, keys [][48]byte) error {
	return c.changeItems(ctx, "freeze", func(m *manifest, g *generation) error {
		if m.Frozen == FreezeAll {
			return errUnchanged
		}
		if len(keys) == 0 {
			return c.putFrozen(ctx, m, g, FreezeAll, nil)
		}
		now, err := c.frozenKeys(ctx, m, g)
		if err != nil {
			return err
		}
		before := len(now)
		for _, k := range keys {
			now[k] = struct{}{}
		}
		if len(now) == before {
			return errUnchanged
		}
		return c.putFrozen(ctx, m, g, FreezeKeys, now)
	})
}

// unfreeze records the end of a freeze.
func (c *Chamber) unfreeze(ctx context.Context, keys [][48]byte) error {
	return c.changeItems(ctx, "unfreeze", func(m *manifest, g *generation) error {
		switch {
		case m.Frozen == FreezeNone:
			return errUnchanged
		case len(keys) == 0:
			return c.putFrozen(ctx, m, g, FreezeNone, nil)
		case m.Frozen == FreezeAll:
			return fmt.Errorf("%w: all keys are frozen, and can only be unfrozen together", ErrInvalid)
		}
		now, err := c.frozenKeys(ctx, m, g)
		if err != nil {
			return err
		}
		before := len(now)
		for _, k := range keys {
			delete(now, k)
		}
		switch len(now) {
		case before:
			return errUnchanged
		case 0:
			return c.putFrozen(ctx, m, g, FreezeNone, nil)
		}
		return c.putFrozen(ctx, m, g, FreezeKeys, now)
	})
}

// changeItems makes a change that writes items, and removes those of their kind that are named no more, or never were: what was listed before
// the manifest was read can be named only by it, or by a change that the new manifest excludes.
func (c *Chamber) changeItems(ctx context.Context, what string, fn edit) error {
	listed, err := c.list(ctx)
	if err != nil {
		return fmt.Errorf("%s: list the signer state: %w", what, err)
	}
	changed := false
	if err := c.change(ctx, what, func(m *manifest, g *generation) error {
		err := fn(m, g)
		changed = err == nil
		return err
	}); err != nil || !changed {
		return err
	}
	v := c.view.Load()
	for _, l := range listed {
		if isItem(l.Name) && !slices.ContainsFunc(v.m.Items, func(i content) bool { return i.Name == l.Name }) {
			if err := c.o.State.Delete(ctx, l.Name, l.Version); err != nil {
				c.o.Log.Warn("an item that is not needed any more stays in the signer state: " + l.Name + ": " + err.Error())
			}
		}
	}
	return nil
}

// isItem says whether a name is of an item that a manifest may name.
func isItem(name string) bool {
	return strings.HasPrefix(name, frozenKind+"/") || strings.HasPrefix(name, policyKind+"/")
}

func (c *Chamber) list(ctx context.Context) ([]store.Listed, error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	return c.o.State.List(ctx)
}

// putFrozen writes lists of frozen keys as new items, and names them in the manifest.
func (c *Chamber) putFrozen(ctx context.Context, m *manifest, g *generation, what Freeze, keys map[[48]byte]struct{}) error {
	if len(keys) > MaxFrozen {
		return fmt.Errorf("%w: %d frozen keys, more than %d: freeze all", ErrInvalid, len(keys), MaxFrozen)
	}
	m.Frozen = what
	m.Items = slices.DeleteFunc(m.Items, func(i content) bool { return i.Kind == frozenKind })
	sorted := slices.SortedFunc(maps.Keys(keys), func(a, b [48]byte) int { return bytes.Compare(a[:], b[:]) })
	for chunk := range slices.Chunk(sorted, keysPerItem) {
		var list []byte
		for _, k := range chunk {
			list = append(list, k[:]...)
		}
		i := content{Kind: frozenKind, Name: frozenKind + "/" + randomText(), Version: 1}
		body, err := g.seal(i.Kind, i.Name, i.Version, list)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		i.SHA256 = sum[:]
		if err := c.putItem(ctx, store.Item{Name: i.Name, Version: i.Version, Body: body}); err != nil {
			return err
		}
		m.Items = append(m.Items, i)
	}
	return nil
}

// frozenKeys reads the keys that a manifest has frozen one by one.
func (c *Chamber) frozenKeys(ctx context.Context, m *manifest, g *generation) (map[[48]byte]struct{}, error) {
	keys := &keyring{now: g}
	if v := c.view.Load(); v.keys.find(g.id) == g {
		keys = v.keys
	}
	f, missing, err := c.loadFrozen(ctx, &view{}, keys, m)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%w: list of frozen keys: %v; freeze all keys, or unfreeze all", ErrCorrupt, missing)
	}
	if err != nil {
		return nil, err
	}
	return f.keys, nil
}

// loadFrozen reads what is frozen. Lists that were read before are not read again, and stay in force when they are missing; else a missing
// one freezes everything. The error is that of a store which does not answer.
func (c *Chamber) loadFrozen(ctx context.Context, v *view, keys *keyring, m *manifest) (*frozen, []string, error) {
	items := m.itemsOf(frozenKind)
	f := &frozen{all: m.Frozen == FreezeAll, keys: map[[48]byte]struct{}{}, items: items, whole: true}
	known := v.frozen != nil && v.frozen.whole && slices.EqualFunc(v.frozen.items, items, sameContent)
	if known {
		f.keys = v.frozen.keys
		if len(v.missing) == 0 {
			return f, nil, nil
		}
	}
	var missing []string
	for _, i := range items {
		list, err := c.readContent(ctx, keys, i)
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrCorrupt), errors.Is(err, ErrForeign):
			missing = append(missing, fmt.Sprintf("%s: %v", i.Name, err))
			continue
		case err != nil:
			return nil, nil, err
		}
		for k := range slices.Chunk(list, 48) {
			if !known {
				f.keys[[48]byte(k)] = struct{}{}
			}
		}
	}
	if len(missing) > 0 && !known {
		f.all, f.whole = true, false
	}
	return f, missing, nil
}

// tryItems looks whether the items that a manifest names are still there.
func (c *Chamber) tryItems(ctx context.Context, v *view) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.view.Load().m != v.m || len(v.m.Items) == 0 {
		return
	}
	now := *c.view.Load()
	now.missing = []string{"not read yet"} // has everything read again
	f, missing, err := c.loadFrozen(ctx, &now, now.keys, now.m)
	if err != nil {
		return // the next refresh tells
	}
	if now.policies.missing != "" { // it may be back
		if now.policies, err = c.loadPolicies(ctx, &view{}, now.keys, now.m); err != nil {
			return
		}
	}
	if found := c.lostPolicies(ctx, now.m); found != "" {
		missing = append(missing, found)
	}
	now.frozen, now.missing = f, missing
	c.show(&now)
}

// getItem reads an item.
func (c *Chamber) getItem(ctx context.Context, name string) (store.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	return c.o.State.Get(ctx, name)
}

// getContent reads an item that a manifest names. It returns ErrCorrupt for any other under that name.
func (c *Chamber) getContent(ctx context.Context, i content) (store.Item, error) {
	item, err := c.getItem(ctx, i.Name)
	if err != nil {
		return store.Item{}, err
	}
	if sum := sha256.Sum256(item.Body); item.Version != i.Version || !bytes.Equal(sum[:], i.SHA256) {
		return store.Item{}, fmt.Errorf("%w: version %d and hash are not those that the manifest names", ErrCorrupt, item.Version)
	}
	return item, nil
}

// readContent reads an item that the manifest names, public keys in a row.
func (c *Chamber) readContent(ctx context.Context, keys *keyring, i content) (list []byte, err error) {
	err = c.withContent(ctx, keys, i, func(b []byte) error {
		if len(b)%48 != 0 {
			return fmt.Errorf("%w: %d bytes, not of public keys", ErrCorrupt, len(b))
		}
		list = bytes.Clone(b)
		return nil
	})
	return list, err
}

// withContent lends f what an item that the manifest names has in it.
func (c *Chamber) withContent(ctx context.Context, keys *keyring, i content, f func([]byte) error) error {
	item, err := c.getContent(ctx, i)
	if err != nil {
		return err
	}
	plain, err := keys.open(i.Kind, i.Name, i.Version, item.Body)
	if err != nil {
		return err
	}
	defer plain.Wipe()
	return plain.Use(f)
}

func sameContent(a, b content) bool { return a.Name == b.Name && bytes.Equal(a.SHA256, b.SHA256) }
