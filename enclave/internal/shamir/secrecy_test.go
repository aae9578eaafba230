package shamir

import (
	"bytes"
	"slices"
	"testing"
)

// TestOneShareOfTwoSaysNothing: for each key of one byte, the share takes each value for exactly one coefficient.
func TestOneShareOfTwoSaysNothing(t *testing.T) {
	coefficients := make([]byte, 256)
	for i := range coefficients {
		coefficients[i] = byte(i)
	}
	for key := range 256 {
		values, err := split(bytes.Repeat([]byte{byte(key)}, len(coefficients)), 2, MaxShares, bytes.NewReader(coefficients))
		if err != nil {
			t.Fatal(err)
		}
		for i, value := range values {
			var seen [256]bool
			for _, y := range value {
				seen[y] = true
			}
			if slices.Contains(seen[:], false) {
				t.Fatalf("share %d cannot take each value with the key %#x", i+1, key)
			}
		}
	}
}

// TestTwoSharesOfThreeSayNothing: for each key of one byte, two shares take each pair of values for exactly one pair of coefficients. The
// first two stand for all; with one key it is all pairs.
func TestTwoSharesOfThreeSayNothing(t *testing.T) {
	const pairs = 1 << 16
	coefficients := make([]byte, 2*pairs)
	for i := range pairs {
		coefficients[i], coefficients[pairs+i] = byte(i), byte(i>>8)
	}
	for key := range 256 {
		n := 2
		if key == 0xa5 {
			n = MaxShares
		}
		values, err := split(bytes.Repeat([]byte{byte(key)}, pairs), 3, n, bytes.NewReader(coefficients))
		if err != nil {
			t.Fatal(err)
		}
		for i, first := range values {
			for j, second := range values[:i] {
				var seen [pairs]bool
				for k, y := range first {
					seen[int(y)<<8|int(second[k])] = true
				}
				if slices.Contains(seen[:], false) {
					t.Fatalf("shares %d and %d cannot take each pair of values with the key %#x", i+1, j+1, key)
				}
			}
		}
	}
}

// TestLeadingCoefficientMayBeZero: without that, fewer shares than the threshold would rule keys out.
func TestLeadingCoefficientMayBeZero(t *testing.T) {
	values, err := split([]byte{0x42}, 2, 3, bytes.NewReader([]byte{0}))
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range values {
		if !bytes.Equal(value, []byte{0x42}) {
			t.Errorf("share %d is %x", i+1, value)
		}
	}
}
