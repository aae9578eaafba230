package eth2

import (
	"encoding/hex"
	"strings"
	"testing"
)

// plainMerkle is the specification's merkleize word for word: pad to a power of two, then hash level by level.
func plainMerkle(leaves []Root, depth int) Root {
	level := make([]Root, 1<<depth)
	copy(level, leaves)
	for ; len(level) > 1; level = level[:len(level)/2] {
		for i := range len(level) / 2 {
			level[i] = pair(level[2*i], level[2*i+1])
		}
	}
	return level[0]
}

func TestMerkle(t *testing.T) {
	for depth := range 6 {
		for n := range 1<<depth + 1 {
			leaves := make([]Root, n)
			for i := range leaves {
				leaves[i] = number(uint64(1000*depth + i + 1))
			}
			want := plainMerkle(leaves, depth)
			if got := merkle(leaves, depth); got != want {
				t.Errorf("depth %d with %d leaves: %x, want %x", depth, n, got, want)
			}
		}
	}
}

func TestDepth(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 8: 3, 9: 4, 512: 9} {
		if got := depthOf(n); got != want {
			t.Errorf("depthOf(%d) = %d, want %d", n, got, want)
		}
	}
}

// serialise makes a bit list of n bits of which bit i is set if i² ≡ 1 (mod 5).
func serialise(n int) []byte {
	b := make([]byte, n/8+1)
	for i := range n {
		if i*i%5 == 1 {
			b[i/8] |= 1 << (i % 8)
		}
	}
	b[n/8] |= 1 << (n % 8)
	return b
}

func TestBitlist(t *testing.T) {
	// Computed by a separate program, written from the specification in another language.
	for n, want := range map[int]string{
		0:    "e8e527e84f666163a90ef900e013f56b0a4d020148b2224057b719f351b003a6",
		1:    "87fc220c6d0d672f988be10ed7338b7ce8530d91a49eb16c352eea3219002f19",
		255:  "2fd74ff7a29f71b1c12600eb825cc0ff24678fc1d02ff235d4ee157832a76bf0",
		256:  "cf5738552976caf0e8ad4a8ec5ad55416232a6761adf96519260d76afa372190",
		257:  "4c8aceb22959316398ed0f22bb5e804e64b9137f7869da5fc50b8318e519765a",
		2047: "20a474597ff4fc7050fb82df8573d003ea1798c4d112014015c38d9ec2ab2622",
		2048: "8122ba2e101ed613059e2bdee6a5e2edfc6971e0be90c046918c5d05d7398c00",
	} {
		in := serialise(n)
		before := string(in)
		got, err := bitlist(in, 2048)
		if err != nil {
			t.Errorf("%d bits: %v", n, err)
		}
		if hex.EncodeToString(got[:]) != want {
			t.Errorf("%d bits: %x, want %s", n, got, want)
		}
		if string(in) != before {
			t.Errorf("%d bits: the input was changed", n)
		}
	}
	for name, tc := range map[string]struct {
		in   []byte
		want string
	}{
		"nothing":       {nil, "does not end with its length bit"},
		"no length bit": {[]byte{1, 0}, "does not end with its length bit"},
		"too long":      {serialise(2049), "bit list of 2049 bits is longer than 2048"},
	} {
		if got, err := bitlist(tc.in, 2048); err == nil || !strings.Contains(err.Error(), tc.want) || got != (Root{}) {
			t.Errorf("%s: %x, %v, want %q", name, got, err, tc.want)
		}
	}
}
