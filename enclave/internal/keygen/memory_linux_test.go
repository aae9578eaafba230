package keygen

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/mnemonic"
)

// TestNothingIsLeft: once a batch is wiped, no copy of what its keys were made from is in memory. Before, the keys alone are.
func TestNothingIsLeft(t *testing.T) {
	ids, recipients := identities(t, 2)
	b, err := generator(t, recipients...).Generate(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	before, after := filepath.Join(t.TempDir(), "before"), filepath.Join(t.TempDir(), "after")
	dumpHeap(t, before)
	b.Wipe()
	dumpHeap(t, after)

	// Only now are they known here too.
	secrets := secretsOf(t, b.Backup, ids[0])
	if found := search(t, before, secrets); !slices.Equal(found, []string{"key 0", "key 1", "key 2"}) {
		t.Errorf("in memory before: %q, want the keys", found)
	}
	if found := search(t, after, secrets); len(found) != 0 {
		t.Errorf("in memory after: %q", found)
	}
}

// dumpHeap writes the memory in which Go has its heap and stacks into a file: what is writable and not far from something there.
func dumpHeap(t *testing.T, name string) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	dump, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer dump.Close()
	page := make([]byte, 64<<10)
	var here int64
	if _, err := fmt.Sscanf(fmt.Sprintf("%p", page), "0x%x", &here); err != nil {
		t.Fatal(err)
	}
	const far = 4 << 30
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		if _, err := fmt.Sscanf(line, "%x-%x rw", &from, &to); err != nil || from > here+far || to < here-far {
			continue
		}
		for ; from < to; from += int64(len(page)) {
			n, err := memory.ReadAt(page[:min(int64(len(page)), to-from)], from)
			if err == nil {
				_, err = dump.Write(page[:n])
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

type namedSecret struct {
	name  string
	bytes []byte
}

// secretsOf is all that three keys are made from, by name.
func secretsOf(t *testing.T, backup []byte, id *age.X25519Identity) []namedSecret {
	t.Helper()
	words := []byte(open(t, backup, id).Mnemonic)
	hashed := sha512.Sum512(words)
	all := []namedSecret{{"mnemonic", words}, {"hash of the mnemonic", hashed[:]}}
	for name, mask := range map[string]byte{"inner": 0x36, "outer": 0x5c} {
		masked := bytes.Clone(hashed[:])
		for i := range masked {
			masked[i] ^= mask
		}
		all = append(all, namedSecret{name + " key of HMAC", masked})
	}
	err := mnemonic.Seed(words, "").Use(func(seed []byte) error {
		all = append(all, namedSecret{"seed", bytes.Clone(seed)})
		master, err := bls.SecretKeyFromSeed(seed)
		if err != nil {
			return err
		}
		paths := map[string][]uint32{"master key": {}, "purpose": {purpose}, "root": {purpose, coinType}}
		for i := range uint32(3) {
			paths[fmt.Sprintf("account %d", i)] = []uint32{purpose, coinType, i}
			paths[fmt.Sprintf("withdrawal key %d", i)] = []uint32{purpose, coinType, i, 0}
			paths[fmt.Sprintf("key %d", i)] = []uint32{purpose, coinType, i, 0, 0}
		}
		for name, path := range paths {
			key, err := master.Derive(path...)
			if err != nil {
				return err
			}
			err = key.Use(func(scalar []byte) error {
				all = append(all, namedSecret{name, bytes.Clone(scalar)})
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// search returns the names of the secrets that a dump holds whole, in their order.
func search(t *testing.T, dump string, secrets []namedSecret) (found []string) {
	t.Helper()
	file, err := os.Open(dump)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const longest = 1 << 10
	window, size := make([]byte, longest, 1<<20), 0 // begins with the end of what was before it
	for {
		n, err := file.Read(window[longest:cap(window)])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		size += n
		for _, s := range secrets {
			if bytes.Contains(window[:longest+n], s.bytes) && !slices.Contains(found, s.name) {
				found = append(found, s.name)
			}
		}
		copy(window, window[n:longest+n])
	}
	if size < 1<<20 {
		t.Errorf("a dump of %d bytes", size)
	}
	slices.Sort(found)
	return found
}
