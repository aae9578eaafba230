package shamir

import (
	"fmt"
	"math/bits"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// set is some of the shares that Locate was given, a bit for each by its place.
type set uint32

func (s set) size() int      { return bits.OnesCount32(uint32(s)) }
func (s set) has(i int) bool { return s>>i&1 == 1 }

// Locate finds which shares are wrong, given more than the threshold of them and a check that knows the key, by its id for one. It returns
// their numbers, in the order of shares; the others rebuild the key. check is called for at most 12,870 keys, one after the other; each is
// wiped when it returns. The errors are those of Combine, ErrNoKey, and ErrAmbiguous.
//
// The check knows the key and not the polynomials, of which two may hold the same key: shares are left of an earlier split, or custodians
// made theirs so that right ones seem wrong. So the most shares that agree on the key are taken for the right ones, and a draw is
// ErrAmbiguous.
func Locate(shares []Share, threshold int, check func(key secret.Bytes) bool) ([]byte, error) {
	right, err := locate(shares, threshold, check)
	if err != nil {
		return nil, fmt.Errorf("find the wrong ones of %d shares: %w", len(shares), err)
	}
	var wrong []byte
	for i, s := range shares {
		if !right.has(i) {
			wrong = append(wrong, s.Number)
		}
	}
	return wrong, nil
}

func locate(shares []Share, threshold int, check func(key secret.Bytes) bool) (set, error) {
	if err := usable(shares, threshold); err != nil {
		return 0, err
	}
	var most set
	draw := false
	for tried := range set(1) << len(shares) {
		if tried.size() != threshold {
			continue
		}
		agreeing, err := agreement(shares, tried, check)
		if err != nil {
			return 0, err
		}
		switch {
		case agreeing.size() > most.size():
			most, draw = agreeing, false
		case agreeing != 0 && agreeing.size() == most.size() && agreeing != most:
			draw = true
		}
		// Different polynomials that agree at 0 agree in at most threshold-2 shares: no others can have as many as these.
		if 2*most.size() > len(shares)+threshold-2 {
			break
		}
	}
	switch {
	case most == 0:
		return 0, ErrNoKey
	case draw:
		return 0, ErrAmbiguous
	}
	return most, nil
}

// agreement is the set of all shares on the polynomials through those tried, none if these do not give the key.
func agreement(shares []Share, tried set, check func(key secret.Bytes) bool) (set, error) {
	enough := make([]Share, 0, MaxShares)
	for i, s := range shares {
		if tried.has(i) {
			enough = append(enough, s)
		}
	}
	key, err := keyOf(enough)
	if err != nil {
		return 0, err
	}
	defer key.Wipe()
	if !check(key) {
		return 0, nil
	}
	agreeing := tried
	for i, s := range shares {
		if tried.has(i) {
			continue
		}
		if fits, err := agrees(s, enough); err != nil {
			return 0, err
		} else if fits {
			agreeing |= 1 << i
		}
	}
	return agreeing, nil
}
