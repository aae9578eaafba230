package shamir

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// FuzzCombine: what is accepted lies on polynomials of the threshold's degree, in any order, and these give the key; an error gives none.
func FuzzCombine(f *testing.F) {
	for _, threshold := range []int{1, 2, 3} {
		var seed []byte
		shares, err := Split(secret.New(aKey(1)), threshold, 3, seeded(1))
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range shares {
			_ = s.Value.Use(func(b []byte) error { seed = append(append(append(seed, s.Number), b...), KeySize); return nil })
		}
		f.Add(threshold, seed)
		f.Add(threshold, seed[:len(seed)-1])
		f.Add(threshold, append(seed, seed...))
	}
	f.Fuzz(func(t *testing.T, threshold int, data []byte) {
		shares := parse(data)
		key, err := Combine(shares, threshold)
		if err != nil {
			if got := key.Use(func([]byte) error { return nil }); !errors.Is(got, secret.ErrWiped) {
				t.Error("a key beside an error")
			}
			return
		}
		want := reveal(t, key)
		if got := neville(t, shares[:threshold], 0); !bytes.Equal(got, want) {
			t.Errorf("the key is %x, want %x", want, got)
		}
		for _, s := range shares {
			if got := neville(t, shares[:threshold], s.Number); !bytes.Equal(got, reveal(t, s.Value)) {
				t.Errorf("share %d was accepted, and does not agree", s.Number)
			}
		}
		slices.Reverse(shares)
		if key, err := Combine(shares, threshold); err != nil || !bytes.Equal(reveal(t, key), want) {
			t.Errorf("in another order: %v", err)
		}
		if wrong, err := Locate(shares, threshold, knows(want, new(int))); err != nil || wrong != nil {
			t.Errorf("Locate = %d, %v", wrong, err)
		}
	})
}

// parse makes shares of a number, up to 32 bytes and what is said of their length each.
func parse(data []byte) (shares []Share) {
	for record := range slices.Chunk(data, KeySize+2) {
		s := Share{Number: record[0]}
		if len(record) > 1 {
			value := record[1:min(len(record), KeySize+1)]
			if size := int(record[len(record)-1]); len(record) == KeySize+2 && size < len(value) {
				value = value[:size]
			}
			s.Value = secret.New(bytes.Clone(value))
		}
		shares = append(shares, s)
	}
	return shares
}

// neville interpolates by Neville's scheme, with the multiplication of the tests: another way to the same polynomial.
func neville(t *testing.T, shares []Share, x byte) []byte {
	t.Helper()
	column := make([][]byte, len(shares))
	for i, s := range shares {
		column[i] = reveal(t, s.Value)
	}
	for step := 1; step < len(shares); step++ {
		for i := range len(shares) - step {
			low, high := shares[i].Number, shares[i+step].Number
			scale := reciprocal(low ^ high)
			for k := range column[i] {
				column[i][k] = product(scale, product(x^high, column[i][k])^product(x^low, column[i+1][k]))
			}
		}
	}
	return column[0]
}

// reciprocal finds what times a is 1.
func reciprocal(a byte) byte {
	for b := range 256 {
		if product(a, byte(b)) == 1 {
			return byte(b)
		}
	}
	return 0
}
