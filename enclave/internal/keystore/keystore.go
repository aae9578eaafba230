package keystore

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// Keystore is all keys of all sources. It is safe for concurrent use; readers never wait.
type Keystore struct {
	keys   atomic.Pointer[set] // replaced whole, read by all
	change sync.Mutex          // held for a whole change: two never interleave
}

// New makes a keystore without keys.
func New() *Keystore {
	k := new(Keystore)
	k.keys.Store(new(set))
	return k
}

// Find returns a key, or a problem.UnknownKey that names it.
func (k *Keystore) Find(public bls.PublicKey) (*Key, error) {
	key, ok := k.keys.Load().find(public)
	if !ok {
		return nil, problem.New(problem.UnknownKey, "no key %s is loaded", public)
	}
	return key, nil
}

// PublicKeys names the keys, sorted. The slice is the caller's.
func (k *Keystore) PublicKeys() []bls.PublicKey {
	s := k.keys.Load()
	publics := make([]bls.PublicKey, 0, s.size)
	s.each(func(e entry) { publics = append(publics, e.public) })
	return publics
}

// Len says how many keys there are.
func (k *Keystore) Len() int { return k.keys.Load().size }

// Count says how many keys came from a source.
func (k *Keystore) Count(s Source) int {
	if s > Memory {
		return 0
	}
	return k.keys.Load().counts[s]
}

// SourceOf says where a key came from; ok is false if no such key is loaded.
func (k *Keystore) SourceOf(public bls.PublicKey) (s Source, ok bool) {
	key, ok := k.keys.Load().find(public)
	if !ok {
		return 0, false
	}
	return key.source, true
}

// Canary says whether a key is loaded that nobody should ever ask for.
func (k *Keystore) Canary(public bls.PublicKey) bool {
	key, ok := k.keys.Load().find(public)
	return ok && key.isCanary()
}

// Held returns a key that came from a source; ok is false if the source has no such key.
func (k *Keystore) Held(source Source, public bls.PublicKey) (key *Key, ok bool) {
	key, ok = k.keys.Load().find(public)
	if !ok || key.source != source {
		return nil, false
	}
	return key, true
}

// Change is what a Replace or an Apply did to its source. Both lists are sorted.
type Change struct {
	Added   []bls.PublicKey
	Removed []bls.PublicKey
	// Duplicates name the newcomers that are loaded already, and wrap ErrDuplicate.
	Duplicates []error
}

// Replace makes keys the only ones of their source, in one step, and wipes those of the source that are gone. A key
// that is loaded already, from another source or earlier in keys, stays as it is and its newcomer is wiped: it is
// among the duplicates. A key that the source had before stays too, and is no duplicate, so that a signature under way
// does not fail. Keys of the source itself, as Held returns them, may stand in keys.
func (k *Keystore) Replace(source Source, keys []*Key) Change {
	k.change.Lock()
	defer k.change.Unlock()
	before, next := k.keys.Load(), new(set).draft()
	before.each(func(e entry) {
		if e.key.source != source {
			next.add(e.key)
		}
	})
	var c Change
	for _, key := range keys {
		public := key.PublicKey()
		if holder, ok := next.find(public); ok {
			c.refuse(key, holder, source)
			continue
		}
		if holder, ok := before.find(public); ok { // of the same source
			holder.SetCanary(key.isCanary())
			key.discard(holder)
			next.add(holder)
			continue
		}
		c.accept(key, source, next)
	}
	k.keys.Store(next.set)
	before.each(func(e entry) {
		if _, stays := next.find(e.public); !stays {
			e.key.Wipe()
			c.Removed = append(c.Removed, e.public)
		}
	})
	sortKeys(c.Added)
	return c
}

// Apply changes some keys of a source, in one step, and takes time for those alone: the others are not looked at. Removed keys are wiped;
// those that are not loaded, or come from elsewhere, are passed over. Of the added ones those that another source has are among the
// duplicates, and those that this source has stay as they are; their newcomers are wiped. No key may be in both lists.
func (k *Keystore) Apply(source Source, added []*Key, removed []bls.PublicKey) Change {
	k.change.Lock()
	defer k.change.Unlock()
	var c Change
	var gone []*Key
	next := k.keys.Load().draft()
	for _, public := range removed {
		if holder, ok := next.find(public); ok && holder.source == source {
			next.remove(holder)
			gone = append(gone, holder)
			c.Removed = append(c.Removed, public)
		}
	}
	for _, key := range added {
		switch holder, ok := next.find(key.PublicKey()); {
		case !ok:
			c.accept(key, source, next)
		case holder.source == source:
			key.discard(holder)
		default:
			c.refuse(key, holder, source)
		}
	}
	k.keys.Store(next.set)
	for _, key := range gone {
		key.Wipe()
	}
	sortKeys(c.Added)
	sortKeys(c.Removed)
	return c
}

// accept adds a newcomer.
func (c *Change) accept(key *Key, source Source, next *draft) {
	key.source = source
	next.add(key)
	c.Added = append(c.Added, key.PublicKey())
}

// refuse wipes a newcomer that another key stands for.
func (c *Change) refuse(key, holder *Key, source Source) {
	c.Duplicates = append(c.Duplicates, fmt.Errorf("%s of %s: %w, from %s", key.PublicKey(), source, ErrDuplicate, holder.source))
	key.discard(holder)
}

// discard wipes a key that another stands for, unless they are one.
func (k *Key) discard(holder *Key) {
	if k != holder {
		k.Wipe()
	}
}

// Wipe drops all keys and overwrites them with zeros, once signatures under way are done.
func (k *Keystore) Wipe() {
	k.change.Lock()
	defer k.change.Unlock()
	k.keys.Swap(new(set)).each(func(e entry) { e.key.Wipe() })
}

func sortKeys(keys []bls.PublicKey) {
	slices.SortFunc(keys, func(a, b bls.PublicKey) int { return bytes.Compare(a[:], b[:]) })
}
