package keystore_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

func TestApply(t *testing.T) {
	k := keystore.New()
	a, b, c, d := newKey(t, 1), newKey(t, 2), newKey(t, 3), newKey(t, 4)
	k.Replace(keystore.Filesystem, []*keystore.Key{a})
	if diff := cmp.Diff(sorted(b, c), k.Apply(keystore.Stored, []*keystore.Key{b, c}, nil).Added); diff != "" {
		t.Error(diff)
	}

	aAgain, bAgain := newKey(t, 1), newKey(t, 2)
	// a is another source's, and stays; b is there, and stays; c goes; 9 was never there; d comes.
	got := k.Apply(keystore.Stored, []*keystore.Key{aAgain, bAgain, d}, sorted(a, c, newKey(t, 9)))
	if len(got.Duplicates) != 1 || !errors.Is(got.Duplicates[0], keystore.ErrDuplicate) ||
		got.Duplicates[0].Error() != a.PublicKey().String()+" of stored: the key is loaded already, from filesystem" {
		t.Errorf("duplicates %v", got.Duplicates)
	}
	got.Duplicates = nil
	if diff := cmp.Diff(keystore.Change{Added: sorted(d), Removed: sorted(c)}, got); diff != "" {
		t.Error(diff)
	}
	for name, key := range map[string]*keystore.Key{"a": a, "b": b, "d": d} {
		if err := signs(t, key); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, key := range map[string]*keystore.Key{"a again": aAgain, "b again": bAgain, "c": c} {
		if err := signs(t, key); !errors.Is(err, secret.ErrWiped) {
			t.Errorf("%s: %v, want ErrWiped", name, err)
		}
	}
	if diff := cmp.Diff(sorted(a, b, d), k.PublicKeys()); diff != "" {
		t.Error(diff)
	}
	if f, s := k.Count(keystore.Filesystem), k.Count(keystore.Stored); f != 1 || s != 2 || k.Len() != 3 || k.Count(keystore.Source(9)) != 0 {
		t.Errorf("counts %d and %d of %d", f, s, k.Len())
	}
	source, ok := k.SourceOf(a.PublicKey())
	if _, gone := k.SourceOf(c.PublicKey()); source != keystore.Filesystem || !ok || gone {
		t.Errorf("a is of %s, %v; c is loaded: %v", source, ok, gone)
	}
}

func sorted(keys ...*keystore.Key) (publics []bls.PublicKey) {
	for _, key := range keys {
		publics = append(publics, key.PublicKey())
	}
	slices.SortFunc(publics, func(a, b bls.PublicKey) int { return bytes.Compare(a[:], b[:]) })
	return publics
}

// TestChangesAtRandom compares with a map.
func TestChangesAtRandom(t *testing.T) {
	k := keystore.New()
	want := map[bls.PublicKey]keystore.Source{}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		source := keystore.Sources()[random.IntN(3)]
		var added []*keystore.Key
		var removed []bls.PublicKey
		replace := random.IntN(10) == 0
		for _, n := range random.Perm(60)[:random.IntN(8)] {
			key := newKey(t, byte(n))
			if !replace && n%2 == 0 {
				removed = append(removed, key.PublicKey())
				if want[key.PublicKey()] == source {
					delete(want, key.PublicKey())
				}
				continue
			}
			added = append(added, key)
		}
		if replace {
			maps.DeleteFunc(want, func(_ bls.PublicKey, s keystore.Source) bool { return s == source })
			k.Replace(source, added)
		} else {
			k.Apply(source, added, removed)
		}
		for _, key := range added {
			if want[key.PublicKey()] == 0 {
				want[key.PublicKey()] = source
			}
		}
		got, counts := map[bls.PublicKey]keystore.Source{}, map[keystore.Source]int{}
		for _, public := range k.PublicKeys() {
			got[public], _ = k.SourceOf(public)
			counts[got[public]]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		for _, s := range keystore.Sources() {
			if k.Count(s) != counts[s] {
				t.Fatalf("%d keys of %s are counted as %d", counts[s], s, k.Count(s))
			}
		}
	}
}

// BenchmarkApply adds and removes one key beside 100,000.
func BenchmarkApply(b *testing.B) {
	k := keystore.New()
	key := func(n int) *keystore.Key {
		scalar := make([]byte, bls.SecretKeySize)
		binary.BigEndian.PutUint32(scalar[28:], uint32(n+1))
		made, err := bls.NewSecretKey(scalar)
		if err != nil {
			b.Fatal(err)
		}
		return keystore.NewKey(made)
	}
	many := make([]*keystore.Key, 100_000)
	for i := range many {
		many[i] = key(i)
	}
	k.Replace(keystore.Filesystem, many)
	for b.Loop() {
		one := key(len(many))
		k.Apply(keystore.Stored, []*keystore.Key{one}, nil)
		k.Apply(keystore.Stored, nil, []bls.PublicKey{one.PublicKey()})
	}
	if k.Len() != len(many) {
		b.Errorf("%d keys", k.Len())
	}
}

// BenchmarkFind finds one of 100,000 keys.
func BenchmarkFind(b *testing.B) {
	k := keystore.New()
	many := make([]*keystore.Key, 0, 100_000)
	for n := range cap(many) {
		scalar := make([]byte, bls.SecretKeySize)
		binary.BigEndian.PutUint32(scalar[28:], uint32(n+1))
		made, err := bls.NewSecretKey(scalar)
		if err != nil {
			b.Fatal(err)
		}
		many = append(many, keystore.NewKey(made))
	}
	k.Replace(keystore.Filesystem, many)
	publics, i := k.PublicKeys(), 0
	for b.Loop() {
		i = (i + 7919) % len(publics)
		if _, err := k.Find(publics[i]); err != nil {
			b.Fatal(err)
		}
	}
}
