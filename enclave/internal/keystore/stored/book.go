package stored

import (
	"fmt"
	"maps"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// book is what this process knows about stored keys. It holds no key.
type book struct {
	seen    map[[48]byte]sight   // the newest authentic item of each key, for as long as the process lives
	failed  map[[48]byte]failure // items that cannot be used
	covered map[[48]byte]bool    // keys that are not used because another source has them
}

// sight is an item that was authentic. A deleted one has nothing that could be: whoever can write the table can delete.
type sight struct {
	version uint64
	status  store.Status
}

// failure is what was told about an item.
type failure struct {
	version, changed uint64
	reason           string
}

func newBook() book {
	return book{seen: map[[48]byte]sight{}, failed: map[[48]byte]failure{}, covered: map[[48]byte]bool{}}
}

// forget is for keys that are dropped: all are looked at again, and failures told again, when they are loaded the next time.
func (b *book) forget() {
	clear(b.failed)
	clear(b.covered)
}

// admits returns an ErrRolledBack for an item, which has version 0 if nothing is stored, that what was seen stands against.
func (b *book) admits(item store.Key) error {
	seen, ok := b.seen[item.PublicKey]
	switch {
	case !ok:
		return nil
	case item.Version == 0:
		return fmt.Errorf("%w: nothing is stored, and version %d, %v, was seen; restart the signer if the table was emptied on purpose",
			ErrRolledBack, seen.version, seen.status)
	case item.Version < seen.version, item.Version == seen.version && item.Status != seen.status:
		return fmt.Errorf("%w: version %d, %v, is stored, and version %d, %v, was seen; restart the signer if an older table was restored on purpose",
			ErrRolledBack, item.Version, item.Status, seen.version, seen.status)
	}
	return nil
}

// missing are the keys that a list of all items should have told and has not.
func (b *book) missing(told map[[48]byte]bool, wanted func(store.Status) bool) [][48]byte {
	missing := map[[48]byte]bool{}
	for public, seen := range b.seen {
		if wanted(seen.status) && !told[public] {
			missing[public] = true
		}
	}
	for public := range b.failed {
		if !told[public] {
			missing[public] = true
		}
	}
	return slices.Collect(maps.Keys(missing))
}

// verdict is what becomes of an item.
type verdict struct {
	item store.Key
	kind kind
	key  *keystore.Key // of an opened one
	err  error         // of a refused one, or one that could not be opened
}

type kind int

const (
	toOpen   kind = iota + 1 // it is new
	toKeep                   // it is known, and in use if it is to be
	toDelete                 // it is deleted
	toForget                 // it is not stored, and never was usable
	toRefuse                 // it went back
)

// wipe wipes a key that the keystore did not take.
func (v verdict) wipe() {
	if v.key != nil {
		v.key.Wipe()
	}
}

// judge says what is to become of items. Held says whether a key is in use.
func (b *book) judge(items []store.Key, wanted func(store.Status) bool, held func([48]byte) bool) []verdict {
	verdicts := make([]verdict, len(items))
	for i, item := range items {
		v := verdict{item: item, kind: toOpen}
		v.err = b.admits(item)
		switch seen, known := b.seen[item.PublicKey]; {
		case v.err != nil:
			v.kind = toRefuse
		case item.Version == 0:
			v.kind = toForget
		case item.Status == store.Deleted:
			v.kind = toDelete
		case !known || item.Version > seen.version:
		case !wanted(item.Status) || held(item.PublicKey) || b.covered[item.PublicKey]:
			v.kind = toKeep
		}
		verdicts[i] = v
	}
	return verdicts
}

// change is what verdicts come to.
type change struct {
	added   []*keystore.Key
	removed [][48]byte
	failed  []verdict // each of which is counted
	told    []verdict // those of them that were not told before
}

// enter notes verdicts whose items are opened.
func (b *book) enter(verdicts []verdict, wanted func(store.Status) bool) change {
	var c change
	for _, v := range verdicts {
		public := v.item.PublicKey
		if v.err != nil {
			f := failure{v.item.Version, v.item.Changed, v.err.Error()}
			c.failed = append(c.failed, v)
			if b.failed[public] != f {
				c.told = append(c.told, v)
			}
			b.failed[public] = f
			// Who may be told that a key is deactivated need not be able to check it: whoever could forge that could delete the key.
			if v.kind == toOpen && !wanted(v.item.Status) {
				c.removed = append(c.removed, public)
			}
			continue
		}
		delete(b.failed, public)
		switch v.kind {
		case toOpen, toDelete:
			b.seen[public] = sight{v.item.Version, v.item.Status}
			if v.key != nil && wanted(v.item.Status) {
				c.added = append(c.added, v.key)
				continue
			}
			v.wipe()
			delete(b.covered, public)
			c.removed = append(c.removed, public)
		case toKeep, toForget, toRefuse:
		}
	}
	return c
}
