package mnemonic

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

func reveal(t *testing.T, s secret.Bytes) (text []byte) {
	t.Helper()
	err := s.Use(func(b []byte) error {
		text = bytes.Clone(b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestWordList: the digest is that of english.txt in the folder bip-0039 of github.com/bitcoin/bips.
func TestWordList(t *testing.T) {
	const published = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
	if sum := sha256.Sum256([]byte(english)); hex.EncodeToString(sum[:]) != published {
		t.Errorf("english.txt has SHA-256 %x, published is %s", sum, published)
	}
	words := strings.Fields(english)
	if len(words) != 1<<wordBits || !slices.IsSorted(words) {
		t.Errorf("%d words, want %d in their order", len(words), 1<<wordBits)
	}
	longest := slices.MaxFunc(words, func(a, b string) int { return len(a) - len(b) })
	if len(longest) != maxWord {
		t.Errorf("%q has %d characters, the longest should have %d", longest, len(longest), maxWord)
	}
}

func TestVectors(t *testing.T) {
	file, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors [][3]string // entropy, mnemonic, seed with the passphrase TREZOR
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 24 {
		t.Fatalf("%d vectors, want the 24 published ones", len(vectors))
	}
	for _, v := range vectors {
		entropy, err := hex.DecodeString(v[0])
		if err != nil {
			t.Fatal(err)
		}
		words := encode(entropy)
		if string(words) != v[1] {
			t.Errorf("%s is %q, want %q", v[0], words, v[1])
		}
		if got := hex.EncodeToString(reveal(t, Seed([]byte(v[1]), "TREZOR"))); got != v[2] {
			t.Errorf("seed of %q: %s, want %s", v[1], got, v[2])
		}
		if hex.EncodeToString(entropy) != v[0] {
			t.Errorf("the entropy %s was changed to %x", v[0], entropy)
		}
	}
}

// TestPassphraseIsNormalised: as python-mnemonic 0.21 computes it. The passphrase has a square metre sign, half-width katakana, two
// spellings of one letter and a ligature.
func TestPassphraseIsNormalised(t *testing.T) {
	const words = "void come effort suffer camp survey warrior heavy shoot primary clutch crush " +
		"open amazing screen patrol group space point ten exist slush involve unfold"
	const want = "add71167e92349d493656ebce4aaad7591cca7cd0b34798d4ff56c56b5f91a253768edd70fcfc39ca8bd15bdf28f235e0388db27dd23c56bead9385ac9f5ff43"
	if got := hex.EncodeToString(reveal(t, Seed([]byte(words), "\u334d\uff76\uff9e \u00c5\u212b\ufb01"))); got != want {
		t.Errorf("seed %s, want %s", got, want)
	}
}

// TestSeedIsPBKDF2 compares with the standard library.
func TestSeedIsPBKDF2(t *testing.T) {
	for _, words := range []string{"", "zoo", strings.Repeat("a", 128), strings.Repeat("a", 129), strings.Repeat("abandon ", 24)} {
		want, err := pbkdf2.Key(sha512.New, words, []byte("mnemonicsalt"), 2048, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := reveal(t, Seed([]byte(words), "salt")); !bytes.Equal(got, want) {
			t.Errorf("seed of %q: %x, want %x", words, got, want)
		}
	}
}

func TestNew(t *testing.T) {
	list := strings.Fields(english)
	seen := map[string]bool{}
	for range 64 {
		text := reveal(t, New())
		words := strings.Split(string(text), " ")
		if len(words) != 24 {
			t.Fatalf("%d words: %s", len(words), text)
		}
		var bits strings.Builder
		for _, w := range words {
			n, ok := slices.BinarySearch(list, w)
			if !ok {
				t.Fatalf("%q is not in the list", w)
			}
			for i := wordBits - 1; i >= 0; i-- {
				bits.WriteByte('0' + byte(n>>i&1))
			}
		}
		entropy := make([]byte, entropySize)
		for i, bit := range bits.String()[:8*entropySize] {
			entropy[i/8] |= byte(bit-'0') << (7 - i%8)
		}
		if again := encode(entropy); !bytes.Equal(again, text) {
			t.Errorf("%s has the checksum of %s", text, again)
		}
		if bytes.Equal(entropy, make([]byte, entropySize)) || seen[string(text)] {
			t.Errorf("not random: %s", text)
		}
		seen[string(text)] = true
	}
}

// TestNoCopyIsLeft: the longest mnemonic fits into the memory that is wiped later, so that it never moved while it was written.
func TestNoCopyIsLeft(t *testing.T) {
	list := strings.Fields(english)
	i := slices.IndexFunc(list, func(w string) bool { return len(w) == maxWord })
	entropy := make([]byte, entropySize) // 23 times the word and a bit more
	for bit := range 8 * entropySize {
		entropy[bit/8] |= byte(i>>(wordBits-1-bit%wordBits)&1) << (7 - bit%8)
	}
	if text := encode(entropy); len(text) < 23*(maxWord+1) || cap(text) > 24*(maxWord+1) {
		t.Errorf("%q: %d bytes in a buffer that grew to %d", text, len(text), cap(text))
	}
}
