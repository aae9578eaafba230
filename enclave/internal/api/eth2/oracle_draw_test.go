package eth2

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
)

// safeWidth is the width in bits of the numbers that are exact in JavaScript. lodestar has no wider type for fields
// whose numbers are drawn with it.
const safeWidth = 53

// draw is the randomness of one generated request. It follows from the group, the seed and the request's index only.
type draw struct{ *rand.Rand }

func newDraw(group string, seed uint64, index int) draw {
	return draw{rand.New(rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%s %d %d", group, seed, index))))}
}

// upTo is a number of at most n. Its magnitude is random, and the ends are frequent.
func (d draw) upTo(n uint64) uint64 {
	switch d.IntN(16) {
	case 0:
		return 0
	case 1:
		return n
	}
	return min(d.Uint64()>>d.IntN(64), n)
}

func (d draw) number(width int) uintValue { return uintValue(d.upTo(^uint64(0) >> (64 - width))) }

// bytes are n of them: random, or sometimes all zero or all ones.
func (d draw) bytes(n int) bytesValue {
	b := make(bytesValue, n)
	edge, value := d.IntN(32), byte(0)
	switch edge {
	case 0:
		return b
	case 1:
		value = 0xff
	}
	for i := range b {
		b[i] = byte(d.Uint64()) | value
	}
	return b
}

func (d draw) root() bytesValue      { return d.bytes(32) }
func (d draw) pubkey() bytesValue    { return d.bytes(48) }
func (d draw) signature() bytesValue { return d.bytes(96) }
func (d draw) address() bytesValue   { return d.bytes(20) }

// bitlist is a serialised bit list of n bits.
func (d draw) bitlist(n int) bytesValue {
	b := d.bytes(n/8 + 1)
	b[n/8] = b[n/8]&(1<<(n%8)-1) | 1<<(n%8)
	return b
}

// slot is one of an epoch's, often the first or the last.
func (d draw) slot(epoch uint64) uintValue {
	return uintValue(epoch*slotsPerEpoch + min(d.Uint64N(slotsPerEpoch+8), slotsPerEpoch-1))
}

// list has n elements.
func (d draw) list(n int, element func(draw) any) listValue {
	l := make(listValue, n)
	for i := range l {
		l[i] = element(d)
	}
	return l
}
