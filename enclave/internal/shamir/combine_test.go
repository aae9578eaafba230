package shamir

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

func TestCombineErrors(t *testing.T) {
	shares := mustSplit(t, 1, 3, 5)
	wiped := Share{2, secret.New(aKey(2))}
	wiped.Wipe()
	numbered := func(n byte) Share { return Share{n, secret.New(aKey(n))} }
	sized := func(n byte, size int) Share { return Share{n, secret.New(make([]byte, size))} }
	for _, tt := range []struct {
		name      string
		shares    []Share
		threshold int
		want      error
		share     byte // that the error names, 0: none
	}{
		{"no threshold", shares, 0, ErrThreshold, 0},
		{"negative threshold", shares, -1, ErrThreshold, 0},
		{"threshold too high", shares, 17, ErrThreshold, 0},
		{"number 0", []Share{shares[0], numbered(0), shares[1]}, 3, ErrNumber, 0},
		{"number 17", []Share{shares[0], shares[1], numbered(17)}, 3, ErrNumber, 17},
		{"number 255", []Share{numbered(255)}, 1, ErrNumber, 255},
		{"the same share twice", []Share{shares[0], shares[3], shares[1], shares[3]}, 3, ErrDuplicate, 4},
		{"a number twice", []Share{shares[0], shares[1], numbered(1)}, 3, ErrDuplicate, 1},
		{"a short value", []Share{shares[0], shares[1], sized(3, 31)}, 3, ErrSize, 3},
		{"a long value", []Share{sized(1, 33), shares[1], shares[2]}, 3, ErrSize, 1},
		{"an empty value", []Share{shares[0], sized(2, 0), shares[2]}, 3, ErrSize, 2},
		{"all short", []Share{sized(1, 16), sized(2, 16), sized(3, 16)}, 3, ErrSize, 1},
		{"a wiped value", []Share{shares[0], wiped, shares[2]}, 3, secret.ErrWiped, 2},
		{"no value", []Share{shares[0], shares[1], {Number: 5}}, 3, secret.ErrWiped, 5},
		{"a bad one too many", []Share{shares[0], shares[1], shares[2], sized(4, 1)}, 3, ErrSize, 4},
		{"a wrong one too many", []Share{shares[0], shares[1], shares[2], numbered(4)}, 3, ErrInconsistent, 0},
		{"a wrong one among the first", []Share{numbered(1), shares[1], shares[2], shares[3]}, 3, ErrInconsistent, 0},
		{"a threshold that is too low", shares, 2, ErrInconsistent, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, err := Combine(tt.shares, tt.threshold)
			checkFault(t, err, tt.want, tt.share)
			if got := key.Use(func([]byte) error { return nil }); !errors.Is(got, secret.ErrWiped) {
				t.Error("a key beside an error")
			}
			_, err = Locate(tt.shares, tt.threshold, func(secret.Bytes) bool { return false })
			if errors.Is(tt.want, ErrInconsistent) {
				tt.want = ErrNoKey
			}
			checkFault(t, err, tt.want, tt.share)
		})
	}
	for _, s := range shares {
		reveal(t, s.Value) // an error leaves the shares
	}
}

func checkFault(t *testing.T, err, want error, number byte) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	fault, ok := errors.AsType[*ShareError](err)
	if named := number != 0 || errors.Is(want, ErrNumber); ok != named || ok && fault.Number != number {
		t.Errorf("error %v names %+v, want share %d", err, fault, number)
	}
}

func TestTooFew(t *testing.T) {
	for have := range 3 {
		_, err := Combine(mustSplit(t, 1, 3, 5)[:have], 3)
		short, ok := errors.AsType[*TooFewError](err)
		if !ok || *short != (TooFewError{Have: have, Need: 3}) || !strings.Contains(err.Error(), "and 3 are needed") {
			t.Errorf("%d shares: %v", have, err)
		}
	}
}

// TestWrongShareGivesAnotherKey, and no error: without shares to spare nothing tells.
func TestWrongShareGivesAnotherKey(t *testing.T) {
	shares := mustSplit(t, 1, 3, 3)
	for i := range shares {
		bad := append([]Share(nil), shares...)
		bad[i] = altered(t, bad[i])
		if key, err := Combine(bad, 3); err != nil || bytes.Equal(reveal(t, key), aKey(1)) {
			t.Errorf("with share %d wrong: %v", i+1, err)
		}
	}
}

func TestCombineLeavesTheShares(t *testing.T) {
	shares := mustSplit(t, 1, 2, 3)
	before := make([][]byte, len(shares))
	for i, s := range shares {
		before[i] = reveal(t, s.Value)
	}
	key, err := Combine(shares, 2)
	if err != nil {
		t.Fatal(err)
	}
	key.Wipe()
	for i, s := range shares {
		if !bytes.Equal(reveal(t, s.Value), before[i]) {
			t.Errorf("share %d has changed", s.Number)
		}
	}
}
