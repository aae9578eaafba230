package bls

import (
	"sync"
	"testing"

	blst "github.com/supranational/blst/bindings/go"
)

// TestSignMessage compares with the library's own signing, which hashes each time.
func TestSignMessage(t *testing.T) {
	scalar := make([]byte, SecretKeySize)
	scalar[31] = 7
	lib := new(blst.SecretKey).Deserialize(scalar)
	key, err := NewSecretKey(scalar)
	if err != nil {
		t.Fatal(err)
	}
	messages := NewMessages(2)
	for i := range byte(8) {
		root := [32]byte{i % 3, 1, 2}
		want := new(blst.P2Affine).Sign(lib, root[:], []byte(suite)).Compress()
		got, err := key.SignMessage(messages.Of(root))
		if err != nil || got != Signature(want) {
			t.Errorf("root %x: %s, %v, want %x", root, got, err, want)
		}
	}
}

func TestMessagesAreForgottenOldestFirst(t *testing.T) {
	messages := NewMessages(2)
	roots := [][32]byte{{1}, {2}, {3}}
	first, second := messages.Of(roots[0]), messages.Of(roots[1])
	if messages.Of(roots[0]) != first || messages.Of(roots[1]) != second {
		t.Error("a message was hashed again")
	}
	messages.Of(roots[2])
	if messages.find(roots[0]) != nil {
		t.Error("the oldest is still known")
	}
	if messages.find(roots[1]) != second || messages.find(roots[2]) == nil {
		t.Error("a younger one was forgotten")
	}
	for range 3 {
		for i := range byte(10) {
			messages.Of([32]byte{i})
		}
	}
	if len(messages.known) != 2 || len(messages.oldest) != 2 {
		t.Errorf("%d messages and %d roots are held, want 2", len(messages.known), len(messages.oldest))
	}
}

func TestMessagesRace(t *testing.T) {
	messages := NewMessages(3)
	key, err := SecretKeyFromSeed(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	var callers sync.WaitGroup
	for i := range byte(8) {
		callers.Go(func() {
			for j := range byte(8) {
				root := [32]byte{(i + j) % 5}
				sig, err := key.SignMessage(messages.Of(root))
				if err != nil || !Verify(key.PublicKey(), root, sig) {
					t.Errorf("root %x: %v", root, err)
				}
			}
		})
	}
	callers.Wait()
}
