package filesystem

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// TestEncryptKeystore: what it makes opens here and with another implementation, with its password alone.
func TestEncryptKeystore(t *testing.T) {
	key, err := bls.SecretKeyFromSeed([]byte(strings.Repeat("7", 32)))
	if err != nil {
		t.Fatal(err)
	}
	password, other := NewPassword(), NewPassword()
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).Match(password) || bytes.Equal(password, other) {
		t.Fatalf("passwords %s and %s", password, other)
	}
	text, err := EncryptKeystore(key, password, 1)
	if err != nil {
		t.Fatal(err)
	}
	again, err := open(t, text, password)
	if err != nil || again.PublicKey() != key.PublicKey() {
		t.Fatalf("opened here: %v", err)
	}
	var doc struct{ Crypto map[string]any }
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	secret, err := keystorev4.New().Decrypt(doc.Crypto, string(password))
	if err != nil {
		t.Fatalf("opened elsewhere: %v", err)
	}
	if err := key.Use(func(b []byte) error {
		if !bytes.Equal(b, secret) {
			t.Error("opened elsewhere it is another key")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, text, other); err == nil {
		t.Error("another password opens it")
	}
	for _, rounds := range []int{-1, 0, maxPBKDF2Rounds + 1} {
		if text, err := EncryptKeystore(key, password, rounds); err == nil || text != nil {
			t.Errorf("%d rounds: %s", rounds, text)
		}
	}
}
