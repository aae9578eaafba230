package keystore

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

const (
	// parts of a set. The first two bits of a public key are the same for all, so that a quarter of the parts is in use: with 100,000
	// keys a part has about 400.
	parts = 1 << partBits

	partBits = 10
)

// set is keys by public key. It never changes once it is shared. It is kept in parts, so that the next set, which differs in a few keys,
// shares with it all parts but theirs.
type set struct {
	parts  [parts][]entry // each sorted, and all of them together
	counts [Memory + 1]int
	size   int
}

type entry struct {
	public bls.PublicKey
	key    *Key
}

func partOf(public bls.PublicKey) int {
	return int(binary.BigEndian.Uint16(public[:2]) >> (16 - partBits))
}

// place is where in its part a key is, or belongs.
func place(part []entry, public *bls.PublicKey) (at int, ok bool) {
	return slices.BinarySearchFunc(part, public, func(e entry, p *bls.PublicKey) int { return bytes.Compare(e.public[:], p[:]) })
}

func (s *set) find(public bls.PublicKey) (*Key, bool) {
	part := s.parts[partOf(public)]
	at, ok := place(part, &public)
	if !ok {
		return nil, false
	}
	return part[at].key, true
}

// each calls f with all keys, sorted.
func (s *set) each(f func(entry)) {
	for _, part := range s.parts[:] {
		for _, e := range part {
			f(e)
		}
	}
}

// draft is the next set, while it is made.
type draft struct {
	*set
	own [parts]bool // parts that the set shares with no other
}

func (s *set) draft() *draft {
	next := *s
	return &draft{set: &next}
}

// part returns a part that may be changed.
func (d *draft) part(public bls.PublicKey) *[]entry {
	n := partOf(public)
	if !d.own[n] {
		d.own[n] = true
		d.parts[n] = slices.Clone(d.parts[n])
	}
	return &d.parts[n]
}

// add adds a key that is not there.
func (d *draft) add(key *Key) {
	public := key.PublicKey()
	part := d.part(public)
	at, _ := place(*part, &public)
	*part = slices.Insert(*part, at, entry{public, key})
	d.counts[key.source]++
	d.size++
}

// remove removes a key that is there.
func (d *draft) remove(key *Key) {
	public := key.PublicKey()
	part := d.part(public)
	at, _ := place(*part, &public)
	*part = slices.Delete(*part, at, at+1)
	d.counts[key.source]--
	d.size--
}
