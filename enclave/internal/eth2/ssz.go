package eth2

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Merkleisation as in the consensus specifications' ssz/simple-serialize.md, for the few shapes a signer meets.
// A library would bring far more code into what an enclave's measurement covers.

// chunkSize is the size of one leaf in bytes.
const chunkSize = len(Root{})

// pair is the node above two nodes.
func pair(left, right Root) Root {
	var both [2 * chunkSize]byte
	copy(both[:], left[:])
	copy(both[chunkSize:], right[:])
	return sha256.Sum256(both[:])
}

// merkle returns the root of a tree of 2^depth leaves, of which those not given are zero.
// There must not be more than 2^depth of them. It overwrites leaves.
func merkle(leaves []Root, depth int) Root {
	var zero Root // the node of this level under which there are only zero leaves
	for range depth {
		n := len(leaves)
		for i := range n / 2 {
			leaves[i] = pair(leaves[2*i], leaves[2*i+1])
		}
		if n%2 == 1 {
			leaves[n/2] = pair(leaves[n-1], zero)
		}
		leaves = leaves[:(n+1)/2]
		zero = pair(zero, zero)
	}
	if len(leaves) == 0 {
		return zero
	}
	return leaves[0]
}

// depthOf is the depth of the least tree with n leaves.
func depthOf(n int) int { return bits.Len(uint(max(n, 1) - 1)) }

// container is the root of a container whose fields have these roots. It overwrites them.
func container(fields ...Root) Root { return merkle(fields, depthOf(len(fields))) }

// number is the root of a uint64.
func number(n uint64) (r Root) {
	binary.LittleEndian.PutUint64(r[:], n)
	return r
}

// short is the root of a vector of at most 32 bytes.
func short(b []byte) (r Root) {
	copy(r[:], b)
	return r
}

// pubkeyRoot is the root of a vector of 48 bytes.
func pubkeyRoot(k *[48]byte) Root { return pair(short(k[:chunkSize]), short(k[chunkSize:])) }

// signatureRoot is the root of a vector of 96 bytes.
func signatureRoot(s *[96]byte) Root {
	return container(Root(s[:chunkSize]), Root(s[chunkSize:2*chunkSize]), Root(s[2*chunkSize:]))
}

// bloomRoot is the root of a vector of 256 bytes.
func bloomRoot(b *[256]byte) Root {
	var chunks [len(b) / chunkSize]Root
	for i := range chunks {
		copy(chunks[i][:], b[i*chunkSize:])
	}
	return container(chunks[:]...)
}

// boolean is the root of a boolean.
func boolean(b bool) (r Root) {
	if b {
		r[0] = 1
	}
	return r
}

// bytelist is the root of a list of at most limit bytes, which must hold no more.
func bytelist(b []byte, limit int) Root {
	chunks := make([]Root, (len(b)+chunkSize-1)/chunkSize)
	for i := range chunks {
		copy(chunks[i][:], b[i*chunkSize:])
	}
	return pair(merkle(chunks, depthOf((limit+chunkSize-1)/chunkSize)), number(uint64(len(b))))
}

// bitlist is the root of a bit list given in its serialised form: the bits, least significant first, and after
// them a one that marks the length. limit, a power of two of at least 256, is the most bits it may have.
func bitlist(serialised []byte, limit int) (Root, error) {
	data, length, err := bitChunks(serialised, limit)
	if err != nil {
		return Root{}, err
	}
	return pair(merkle(data, depthOf(limit/(8*chunkSize))), number(uint64(length))), nil
}

// bitChunks are the chunks of a serialised bit list, without its length bit, and its length.
func bitChunks(serialised []byte, limit int) (data []Root, length int, err error) {
	n := len(serialised)
	if n == 0 || serialised[n-1] == 0 {
		return nil, 0, errors.New("bit list does not end with its length bit")
	}
	length = 8*(n-1) + bits.Len8(serialised[n-1]) - 1
	if length > limit {
		return nil, 0, fmt.Errorf("bit list of %d bits is longer than %d", length, limit)
	}
	data = make([]Root, (length+8*chunkSize-1)/(8*chunkSize))
	for i := range data {
		copy(data[i][:], serialised[i*chunkSize:])
	}
	if last := length / 8; last < len(data)*chunkSize { // the length bit is no data
		data[last/chunkSize][last%chunkSize] &^= 1 << (length % 8)
	}
	return data, length, nil
}
