package shamir

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// TestAnyThresholdRebuilds tries all subsets, of all sizes, of all splits up to six, and of the widest.
func TestAnyThresholdRebuilds(t *testing.T) {
	type quorum struct{ threshold, n int }
	quorums := []quorum{{1, 16}, {2, 16}, {8, 16}, {15, 16}, {16, 16}}
	for n := range 7 {
		for threshold := 1; threshold <= n; threshold++ {
			quorums = append(quorums, quorum{threshold, n})
		}
	}
	for i, q := range quorums {
		key := aKey(byte(i))
		shares, err := Split(secret.New(bytes.Clone(key)), q.threshold, q.n, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for subset := range set(1) << q.n {
			if q.n > 6 && subset.size() != q.threshold {
				continue
			}
			some := of(shares, subset)
			slices.Reverse(some)
			switch got, err := Combine(some, q.threshold); {
			case subset.size() < q.threshold:
				if short, ok := errors.AsType[*TooFewError](err); !ok || *short != (TooFewError{len(some), q.threshold}) {
					t.Fatalf("%d shares of %+v: %v", len(some), q, err)
				}
			case err != nil:
				t.Fatalf("shares %016b of %+v: %v", subset, q, err)
			case !bytes.Equal(reveal(t, got), key):
				t.Fatalf("shares %016b of %+v give another key", subset, q)
			}
		}
	}
}

func TestSplitNumbersFromOne(t *testing.T) {
	shares := mustSplit(t, 1, 3, 16)
	for i, s := range shares {
		if int(s.Number) != i+1 {
			t.Errorf("share %d has the number %d", i+1, s.Number)
		}
		if value := reveal(t, s.Value); bytes.Equal(value, aKey(1)) || len(value) != KeySize {
			t.Errorf("share %d is %x", s.Number, value)
		}
	}
}

func TestSplitWithThresholdOneCopies(t *testing.T) {
	for _, s := range mustSplit(t, 1, 1, 3) {
		if !bytes.Equal(reveal(t, s.Value), aKey(1)) {
			t.Errorf("share %d is not the key", s.Number)
		}
		s.Wipe() // of this one only
	}
}

func TestSplitLeavesTheKey(t *testing.T) {
	key := secret.New(aKey(1))
	shares, err := Split(key, 2, 2, seeded(2))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shares {
		s.Wipe()
	}
	if !bytes.Equal(reveal(t, key), aKey(1)) {
		t.Error("the key has changed")
	}
}

// TestSplitReadsWhatItNeeds: one coefficient for each byte and degree, none used twice.
func TestSplitReadsWhatItNeeds(t *testing.T) {
	for threshold := 1; threshold <= MaxShares; threshold++ {
		source := &io.LimitedReader{R: seeded(1), N: 1 << 20}
		if _, err := Split(secret.New(aKey(1)), threshold, MaxShares, source); err != nil {
			t.Fatal(err)
		}
		if read, want := 1<<20-source.N, int64(threshold-1)*KeySize; read != want {
			t.Errorf("threshold %d: read %d bytes, want %d", threshold, read, want)
		}
	}
}

func TestSplitErrors(t *testing.T) {
	wiped := secret.New(aKey(1))
	wiped.Wipe()
	broken := errors.New("broken")
	for _, tt := range []struct {
		name         string
		key          secret.Bytes
		threshold, n int
		random       io.Reader
		want         error
	}{
		{"no threshold", secret.New(aKey(1)), 0, 3, rand.Reader, ErrThreshold},
		{"negative threshold", secret.New(aKey(1)), -1, 3, rand.Reader, ErrThreshold},
		{"no shares", secret.New(aKey(1)), 0, 0, rand.Reader, ErrThreshold},
		{"threshold above shares", secret.New(aKey(1)), 4, 3, rand.Reader, ErrThreshold},
		{"too many shares", secret.New(aKey(1)), 2, 17, rand.Reader, ErrThreshold},
		{"short key", secret.New(aKey(1)[1:]), 2, 3, rand.Reader, ErrKeySize},
		{"long key", secret.New(append(aKey(1), 0)), 2, 3, rand.Reader, ErrKeySize},
		{"empty key", secret.New([]byte{}), 2, 3, rand.Reader, ErrKeySize},
		{"wiped key", wiped, 2, 3, rand.Reader, secret.ErrWiped},
		{"zero key", secret.Bytes{}, 2, 3, rand.Reader, secret.ErrWiped},
		{"random bytes that end", secret.New(aKey(1)), 3, 3, io.LimitReader(rand.Reader, 63), io.ErrUnexpectedEOF},
		{"no random bytes", secret.New(aKey(1)), 2, 3, bytes.NewReader(nil), io.EOF},
		{"random bytes that fail", secret.New(aKey(1)), 2, 3, failing{broken}, broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shares, err := Split(tt.key, tt.threshold, tt.n, tt.random)
			if !errors.Is(err, tt.want) || shares != nil {
				t.Errorf("Split = %v, %v, want %v", shares, err, tt.want)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
