package shamir

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// seeded is a source of random bytes that a test can have again.
func seeded(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// aKey is a key that tests may know.
func aKey(seed byte) []byte {
	key := make([]byte, KeySize)
	_, _ = seeded(seed).Read(key)
	return key
}

// mustSplit splits aKey(seed).
func mustSplit(t *testing.T, seed byte, threshold, n int) []Share {
	t.Helper()
	shares, err := Split(secret.New(aKey(seed)), threshold, n, seeded(^seed))
	if err != nil {
		t.Fatal(err)
	}
	return shares
}

// reveal copies what a secret holds.
func reveal(t *testing.T, s secret.Bytes) []byte {
	t.Helper()
	var out []byte
	if err := s.Use(func(b []byte) error { out = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// altered is s with one bit of its value changed.
func altered(t *testing.T, s Share) Share {
	t.Helper()
	value := reveal(t, s.Value)
	value[int(s.Number)] ^= 0x10
	return Share{s.Number, secret.New(value)}
}

// of picks the shares that a set has.
func of(shares []Share, s set) (some []Share) {
	for i := range shares {
		if s.has(i) {
			some = append(some, shares[i])
		}
	}
	return some
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestShareDoesNotPrint(t *testing.T) {
	const canary = "the canary sings at midnight ..."
	s := Share{7, secret.New([]byte(canary))}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		for _, holder := range []any{s, &s, []Share{s}, map[byte]Share{7: s}} {
			text := fmt.Sprintf(format, holder)
			if strings.Contains(text, canary) || strings.Contains(text, hex.EncodeToString([]byte(canary))) || strings.Contains(text, "116 104 101") {
				t.Errorf("%s printed %s", format, text)
			}
		}
	}
	if out, err := json.Marshal(s); err == nil {
		t.Errorf("encoded as %s", out)
	}
}

func TestShareWipe(t *testing.T) {
	value := aKey(1)
	s := Share{1, secret.New(value)}
	s.Wipe()
	if !bytes.Equal(value, make([]byte, KeySize)) {
		t.Errorf("after Wipe the memory holds %x", value)
	}
	if err := s.Value.Use(func([]byte) error { return nil }); !errors.Is(err, secret.ErrWiped) {
		t.Errorf("Use of a wiped value: %v", err)
	}
}
