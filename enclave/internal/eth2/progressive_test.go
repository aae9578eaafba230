package eth2

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// plainProgressive is merkleize_progressive of EIP-7916 word for word.
func plainProgressive(chunks []Root, leaves int) Root {
	if len(chunks) == 0 {
		return Root{}
	}
	n := min(leaves, len(chunks))
	return pair(plainMerkle(chunks[:n], depthOf(leaves)), plainProgressive(chunks[n:], 4*leaves))
}

func TestProgressive(t *testing.T) {
	var p progressive
	var chunks []Root
	for n := range 400 { // past the fifth subtree, 1+4+16+64+256 = 341
		if got, want := p.root(), plainProgressive(chunks, 1); got != want {
			t.Fatalf("%d chunks: %x, want %x", n, got, want)
		}
		chunk := number(uint64(n + 1))
		p.add(chunk)
		chunks = append(chunks, chunk)
	}
}

// TestProgressiveByteList: the root does not depend on how the bytes come.
func TestProgressiveByteList(t *testing.T) {
	var l ProgressiveByteList
	for _, size := range []int{1000, 0, 1, 31, 32, 33, 160} {
		data := bytes.Repeat([]byte{0xab, 0, 0xcd}, size)[:size]
		chunks := make([]Root, (size+31)/32)
		for i := range chunks {
			copy(chunks[i][:], data[32*i:])
		}
		want := pair(plainProgressive(chunks, 1), number(uint64(size)))
		for _, step := range []int{1, 7, 32, 1000} {
			for rest := data; len(rest) > 0; rest = rest[min(step, len(rest)):] {
				l.Append(rest[:min(step, len(rest))])
			}
			if got := l.Close(); got != want {
				t.Errorf("%d bytes by %d: %x, want %x", size, step, got, want)
			}
		}
	}
}

func TestProgressiveBitlist(t *testing.T) {
	// Computed with @chainsafe/ssz, an implementation in another language, from the bits that serialise sets.
	for n, want := range map[int]string{
		0:    "0xf5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b",
		1:    "0xe832d263aaa8f9417d9f45a702834f6961ee7b15ad4d3d27f2b0f4fe79d33031",
		255:  "0x627e6a4d8583608e68fa962455730fbd81158f75107ef133ea676e552aa6a3f6",
		256:  "0x747654227c82c00155745ec9d093971e7d3efc4edf0e7a2dfc149ce92404fe1e",
		257:  "0x0a5df3580742a6417d6e13d6be6bcef22d2f09bb11804f4a89760f78e5f865a6",
		1280: "0x4028401ac32d2a74283762b58caadf15299132451d61042b7b4ae8c365f7ce6d",
		1281: "0x4907525195cc1f37c9a6912a5dab635f1f736b929858fef06541113314e9c2e5",
		5000: "0x5941c8725bf757114b6a8b93ee37d9fc80b6b7ba7ff49222324fb3a4b3ec815c",
	} {
		got, err := progressiveBitlist(serialise(n), 1<<17)
		if err != nil || "0x"+hex.EncodeToString(got[:]) != want {
			t.Errorf("%d bits: %x, %v, want %s", n, got, err, want)
		}
	}
	if _, err := progressiveBitlist(serialise(9), 8); err == nil {
		t.Error("a bit list over the limit has a root")
	}
}
