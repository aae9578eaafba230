package shamir

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// knows is a check that knows a key, and counts.
func knows(key []byte, calls *int) func(secret.Bytes) bool {
	return func(s secret.Bytes) bool {
		*calls++
		is := false
		_ = s.Use(func(b []byte) error { is = bytes.Equal(b, key); return nil })
		return is
	}
}

// TestLocateFindsEachSet makes each set of shares wrong that leaves a threshold of right ones.
func TestLocateFindsEachSet(t *testing.T) {
	for _, q := range []struct{ threshold, n int }{{1, 1}, {1, 4}, {2, 2}, {2, 3}, {2, 5}, {3, 5}, {4, 7}, {5, 6}} {
		shares := mustSplit(t, 1, q.threshold, q.n)
		for bad := range set(1) << q.n {
			given := append([]Share(nil), shares...)
			var want []byte
			for i := range given {
				if bad.has(i) {
					given[i] = altered(t, given[i])
					want = append(want, given[i].Number)
				}
			}
			calls := 0
			got, err := Locate(given, q.threshold, knows(aKey(1), &calls))
			if q.n-bad.size() < q.threshold {
				if !errors.Is(err, ErrNoKey) || got != nil {
					t.Errorf("%+v without %0*b: %v, %v, want %v", q, q.n, bad, got, err, ErrNoKey)
				}
				continue
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%+v without %0*b: %v, -want +got:\n%s", q, q.n, bad, err, diff)
			}
			if bad == 0 && q.n > q.threshold && calls != 1 {
				t.Errorf("%+v, all right: %d keys were checked", q, calls)
			}
		}
	}
}

// TestLocateTakesTheOrderGiven: places are not numbers.
func TestLocateTakesTheOrderGiven(t *testing.T) {
	shares := mustSplit(t, 1, 2, 9)
	calls := 0
	given := []Share{shares[8], altered(t, shares[5]), shares[0], altered(t, shares[2]), shares[6]}
	got, err := Locate(given, 2, knows(aKey(1), &calls))
	if diff := cmp.Diff([]byte{6, 3}, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

func TestLocateIsBounded(t *testing.T) {
	shares := mustSplit(t, 1, 8, 16)
	for i := 7; i < 16; i++ {
		shares[i] = altered(t, shares[i])
	}
	calls := 0
	if _, err := Locate(shares, 8, knows(aKey(1), &calls)); !errors.Is(err, ErrNoKey) || calls != 12870 {
		t.Errorf("%d keys were checked: %v", calls, err)
	}
}

// TestLocateStops once no other shares can be more.
func TestLocateStops(t *testing.T) {
	for wrong := range 6 {
		shares := mustSplit(t, 1, 8, 16)
		for i := 16 - wrong; i < 16; i++ {
			shares[i] = altered(t, shares[i])
		}
		calls := 0
		got, err := Locate(shares, 8, knows(aKey(1), &calls))
		if all := wrong == 5; err != nil || len(got) != wrong || (calls == 1) == all || (calls == 12870) != all {
			t.Errorf("%d wrong shares: %d keys were checked: %d, %v", wrong, calls, got, err)
		}
	}
}

// TestLocateWipesWhatItTried, the right key too.
func TestLocateWipesWhatItTried(t *testing.T) {
	shares := mustSplit(t, 1, 2, 4)
	shares[0] = altered(t, shares[0])
	var kept []secret.Bytes
	calls := 0
	check := knows(aKey(1), &calls)
	if _, err := Locate(shares, 2, func(key secret.Bytes) bool {
		kept = append(kept, key)
		return check(key)
	}); err != nil {
		t.Fatal(err)
	}
	if len(kept) < 2 {
		t.Fatalf("%d keys were tried", len(kept))
	}
	for i, key := range kept {
		if err := key.Use(func([]byte) error { return nil }); !errors.Is(err, secret.ErrWiped) {
			t.Errorf("key %d of %d is still there", i+1, len(kept))
		}
	}
}

// TestLocateLeftovers mixes the shares of several splits of one key; the digits of mix say which split each is of.
func TestLocateLeftovers(t *testing.T) {
	var splits [3][]Share
	for i := range splits {
		shares, err := Split(secret.New(aKey(1)), 3, 16, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		splits[i] = shares
	}
	for _, tt := range []struct {
		mix   string
		wrong []byte
		err   error
	}{
		{"1000", []byte{1}, nil},
		{"1110000", []byte{1, 2, 3}, nil},
		{"0001111", []byte{1, 2, 3}, nil},
		{"0000111", []byte{5, 6, 7}, nil},
		{"0001112222", []byte{1, 2, 3, 4, 5, 6}, nil},
		{"0000111222", []byte{5, 6, 7, 8, 9, 10}, nil},
		{"0111000222", []byte{2, 3, 4, 8, 9, 10}, nil},
		{"000111", nil, ErrAmbiguous},
		{"0001111000", []byte{4, 5, 6, 7}, nil},
		{"00011112222", nil, ErrAmbiguous},
	} {
		var given []Share
		for i, digit := range tt.mix {
			given = append(given, splits[digit-'0'][i])
		}
		calls := 0
		got, err := Locate(given, 3, knows(aKey(1), &calls))
		if diff := cmp.Diff(tt.wrong, got); !errors.Is(err, tt.err) || diff != "" {
			t.Errorf("%s: %v, want %v, -want +got:\n%s", tt.mix, err, tt.err, diff)
		}
	}
}

// TestLocateConspiracy: two custodians add a polynomial that is 0 at 0 and at 3 to their shares, so that theirs and share 3 give the key.
func TestLocateConspiracy(t *testing.T) {
	shares := mustSplit(t, 1, 3, 6)
	for i := range 2 {
		x := shares[i].Number
		value := reveal(t, shares[i].Value)
		for j := range value {
			value[j] ^= product(x, x^3)
		}
		shares[i].Value = secret.New(value)
	}
	if key, err := Combine(shares[:3], 3); err != nil || !bytes.Equal(reveal(t, key), aKey(1)) {
		t.Fatalf("the three do not give the key: %v", err)
	}
	calls := 0
	got, err := Locate(shares, 3, knows(aKey(1), &calls))
	if diff := cmp.Diff([]byte{1, 2}, got); err != nil || diff != "" {
		t.Errorf("six shares: %v, -want +got:\n%s", err, diff)
	}
	if got, err := Locate(shares[:5], 3, knows(aKey(1), &calls)); !errors.Is(err, ErrAmbiguous) || got != nil {
		t.Errorf("five shares, three on each side: %v, %v", got, err)
	}
}

// TestWipedMeanwhile: a share that goes while others are tried is named.
func TestWipedMeanwhile(t *testing.T) {
	shares := mustSplit(t, 1, 2, 3)
	_, err := Locate(shares, 2, func(secret.Bytes) bool { shares[2].Wipe(); return true })
	checkFault(t, err, secret.ErrWiped, 3)
}

func BenchmarkLocateNothing(b *testing.B) {
	shares, err := Split(secret.New(aKey(1)), 8, 16, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, _ = Locate(shares, 8, func(secret.Bytes) bool { return false })
	}
}
