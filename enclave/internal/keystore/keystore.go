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

// set never changes once it is shared.
type set struct {
	byPublic map[bls.PublicKey]*Key
	sorted   []bls.PublicKey
	counts   map[Source]int
}

// New makes a keystore without keys.
func New() *Keystore {
	k := new(Keystore)
	k.keys.Store(newSet(nil))
	return k
}

// Find returns a key, or a problem.UnknownKey that names it.
func (k *Keystore) Find(public bls.PublicKey) (*Key, error) {
	key, ok := k.keys.Load().byPublic[public]
	if !ok {
		return nil, problem.New(problem.UnknownKey, "no key %s is loaded", public)
	}
	return key, nil
}

// PublicKeys names the keys, sorted. The slice is the caller's.
func (k *Keystore) PublicKeys() []bls.PublicKey { return slices.Clone(k.keys.Load().sorted) }

// Len says how many keys there are.
func (k *Keystore) Len() int { return len(k.keys.Load().sorted) }

// Count says how many keys came from a source.
func (k *Keystore) Count(s Source) int { return k.keys.Load().counts[s] }

// Held returns a key that came from a source; ok is false if the source has no such key.
func (k *Keystore) Held(source Source, public bls.PublicKey) (key *Key, ok bool) {
	key, ok = k.keys.Load().byPublic[public]
	if !ok || key.source != source {
		return nil, false
	}
	return key, true
}

// Change is what a Replace did to its source. Both lists are sorted.
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
	before := k.keys.Load()
	old := before.byPublic
	next := make(map[bls.PublicKey]*Key, len(old)-before.counts[source]+len(keys))
	for public, key := range old {
		if key.source != source {
			next[public] = key
		}
	}
	var c Change
	for _, key := range keys {
		public := key.PublicKey()
		if holder, ok := next[public]; ok {
			c.Duplicates = append(c.Duplicates, fmt.Errorf("%s of %s: %w, from %s", public, source, ErrDuplicate, holder.source))
			key.discard(holder)
			continue
		}
		if holder, ok := old[public]; ok { // of the same source
			key.discard(holder)
			next[public] = holder
			continue
		}
		key.source = source
		next[public] = key
		c.Added = append(c.Added, public)
	}
	k.keys.Store(newSet(next))
	for public, key := range old {
		if _, stays := next[public]; !stays {
			key.Wipe()
			c.Removed = append(c.Removed, public)
		}
	}
	sortKeys(c.Added)
	sortKeys(c.Removed)
	return c
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
	for _, key := range k.keys.Swap(newSet(nil)).byPublic {
		key.Wipe()
	}
}

func newSet(byPublic map[bls.PublicKey]*Key) *set {
	s := &set{byPublic: byPublic, counts: make(map[Source]int), sorted: make([]bls.PublicKey, 0, len(byPublic))}
	for public, key := range byPublic {
		s.sorted = append(s.sorted, public)
		s.counts[key.source]++
	}
	sortKeys(s.sorted)
	return s
}

func sortKeys(keys []bls.PublicKey) {
	slices.SortFunc(keys, func(a, b bls.PublicKey) int { return bytes.Compare(a[:], b[:]) })
}
