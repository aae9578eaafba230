package shamir

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// splitVector is a key and shares of it, in hexadecimal.
type splitVector struct {
	Threshold int    `json:"threshold"`
	Seed      byte   `json:"seed"`
	Key       string `json:"key"`
	Shares    []struct {
		Number byte   `json:"number"`
		Value  string `json:"value"`
	} `json:"shares"`
}

func (v splitVector) shares(t *testing.T) (shares []Share) {
	t.Helper()
	for _, s := range v.Shares {
		shares = append(shares, Share{s.Number, secret.New(unhex(t, s.Value))})
	}
	return shares
}

// load reads vectors, which are at least some.
func load[V any](t *testing.T, file string) []V {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []V
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 4 {
		t.Fatalf("%s holds %d vectors", file, len(vectors))
	}
	return vectors
}

// TestVaultSplits rebuilds what HashiCorp Vault split, from each subset. Its numbers are any but 0; with ours Combine takes them too.
func TestVaultSplits(t *testing.T) {
	combined := 0
	for _, v := range load[splitVector](t, "vault.json") {
		shares := v.shares(t)
		ours := !slices.ContainsFunc(shares, func(s Share) bool { return s.Number > MaxShares })
		for subset := range set(1) << len(shares) {
			if subset.size() != v.Threshold {
				continue
			}
			key, err := keyOf(of(shares, subset))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(reveal(t, key), unhex(t, v.Key)) {
				t.Fatalf("%d of %d: shares %b give another key", v.Threshold, len(shares), subset)
			}
		}
		if ours {
			combined++
			if key, err := Combine(shares, v.Threshold); err != nil || !bytes.Equal(reveal(t, key), unhex(t, v.Key)) {
				t.Errorf("%d of %d: Combine gives another key, %v", v.Threshold, len(shares), err)
			}
		}
	}
	if combined == 0 {
		t.Error("no split has numbers that Combine takes")
	}
}

// TestSplitsThatVaultRebuilt makes the splits anew that HashiCorp Vault rebuilt the keys of: how shares are made never changes, since they are kept.
func TestSplitsThatVaultRebuilt(t *testing.T) {
	for _, v := range load[splitVector](t, "split.json") {
		if !bytes.Equal(aKey(v.Seed), unhex(t, v.Key)) {
			t.Fatalf("the key of seed %d is another", v.Seed)
		}
		want := v.shares(t)
		for i, s := range mustSplit(t, v.Seed, v.Threshold, len(want)) {
			if s.Number != want[i].Number || !bytes.Equal(reveal(t, s.Value), reveal(t, want[i].Value)) {
				t.Errorf("%d of %d: share %d is another", v.Threshold, len(want), s.Number)
			}
		}
	}
}

// slip39Vector is one of SLIP-0039's, its words decoded. Shares are of groups, and groups of the encrypted master secret.
type slip39Vector struct {
	Number     int `json:"number"`
	Identifier uint16
	Exponent   int `json:"iteration_exponent"`
	Groups     []struct {
		Index     byte
		Threshold int
		Shares    []struct {
			Index byte
			Value string
		}
	}
	Encrypted string `json:"encrypted_master_secret"`
	Master    string `json:"master_secret"`
}

// TestSLIP39 rebuilds SLIP-0039's secrets, which share the field and have another layout: the secret is the value at 255, and its digest
// that at 254.
func TestSLIP39(t *testing.T) {
	for _, v := range load[slip39Vector](t, "slip39.json") {
		size := len(v.Master) / 2
		var groups []Share
		for _, g := range v.Groups {
			var members []Share
			for _, s := range g.Shares {
				members = append(members, Share{s.Index, secret.New(unhex(t, s.Value))})
			}
			if len(members) != g.Threshold {
				t.Fatalf("vector %d has %d shares of a group, want %d", v.Number, len(members), g.Threshold)
			}
			groups = append(groups, Share{g.Index, secret.New(slip39Recover(t, members, size))})
		}
		encrypted := slip39Recover(t, groups, size)
		if !bytes.Equal(encrypted, unhex(t, v.Encrypted)) {
			t.Errorf("vector %d: the encrypted master secret is %x", v.Number, encrypted)
		}
		if got := slip39Decrypt(t, encrypted, v.Identifier, v.Exponent); !bytes.Equal(got, unhex(t, v.Master)) {
			t.Errorf("vector %d: the master secret is %x, want %s", v.Number, got, v.Master)
		}
	}
}

// slip39Recover is RecoverSecret of SLIP-0039.
func slip39Recover(t *testing.T, shares []Share, size int) []byte {
	t.Helper()
	shared, digest := make([]byte, size), make([]byte, size)
	for x, y := range map[byte][]byte{255: shared, 254: digest} {
		if err := interpolate(y, x, shares); err != nil {
			t.Fatal(err)
		}
	}
	mac := hmac.New(sha256.New, digest[4:])
	mac.Write(shared)
	if len(shares) > 1 && !bytes.Equal(mac.Sum(nil)[:4], digest[:4]) {
		t.Errorf("the digest of a secret of %d shares is wrong", len(shares))
	}
	return shared
}

// slip39Decrypt is the decryption of SLIP-0039, four rounds of a Feistel network, with the passphrase of the vectors.
func slip39Decrypt(t *testing.T, encrypted []byte, identifier uint16, exponent int) []byte {
	t.Helper()
	left, right := encrypted[:len(encrypted)/2], encrypted[len(encrypted)/2:]
	for round := 3; round >= 0; round-- {
		salt := append(binary.BigEndian.AppendUint16([]byte("shamir"), identifier), right...)
		f, err := pbkdf2.Key(sha256.New, string(rune(round))+"TREZOR", salt, 2500<<exponent, len(right))
		if err != nil {
			t.Fatal(err)
		}
		for i := range f {
			f[i] ^= left[i]
		}
		left, right = right, f
	}
	return append(bytes.Clone(right), left...)
}
