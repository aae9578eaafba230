package filesystem

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// LightRounds is a number of PBKDF2 rounds that takes under a millisecond. It does not slow down anybody who guesses
// passwords: it is for demonstrations and tests.
const LightRounds = 1 << 10

// WriteKeystore writes a key as an EIP-2335 keystore, beside a file with its password and a descriptor that names
// both; all named after the public key, with mode 0600. rounds is the work of PBKDF2, which EIP-2335 sets to 262144.
// It overwrites nothing; the descriptor comes last, so that Load never sees half a key. key and password stay the
// caller's.
func WriteKeystore(dir string, key *bls.SecretKey, password []byte, rounds int) error {
	if rounds < 1 || rounds > maxPBKDF2Rounds {
		return fmt.Errorf("write keystore: %d rounds, want 1 to %d", rounds, maxPBKDF2Rounds)
	}
	text, err := encrypt(key, password, rounds)
	if err != nil {
		return fmt.Errorf("write keystore of %s: %w", key.PublicKey().Short(), err)
	}
	name := fileName(key)
	descriptor := fmt.Sprintf("type: %q\nkeyType: \"BLS\"\nkeystoreFile: \"%s.json\"\nkeystorePasswordFile: \"%s.password\"\n", kindKeystore, name, name)
	for _, file := range []struct {
		ext  string
		text []byte
	}{
		{".password", append(bytes.Clone(password), '\n')},
		{".json", text},
		{".yaml", []byte(descriptor)},
	} {
		if err := create(filepath.Join(dir, name+file.ext), file.text); err != nil {
			return fmt.Errorf("write keystore: %w", err)
		}
	}
	return nil
}

// WriteRaw writes a key in clear, as a descriptor with mode 0600 named after the public key. It overwrites nothing.
func WriteRaw(dir string, key *bls.SecretKey) error {
	return key.Use(func(b []byte) error {
		text := fmt.Appendf(nil, "type: %q\nkeyType: \"BLS\"\nprivateKey: \"%x\"\n", kindRaw, b)
		defer clear(text)
		if err := create(filepath.Join(dir, fileName(key)+".yaml"), text); err != nil {
			return fmt.Errorf("write raw key: %w", err)
		}
		return nil
	})
}

func fileName(key *bls.SecretKey) string {
	public := key.PublicKey()
	return hex.EncodeToString(public[:])
}

func create(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// encrypt is the keystore as JSON.
func encrypt(key *bls.SecretKey, password []byte, rounds int) ([]byte, error) {
	var doc document
	c := &doc.Crypto
	c.KDF.Function = "pbkdf2"
	c.KDF.Params = kdfParams{Size: derivedSize, C: rounds, PRF: "hmac-sha256", Salt: random(32)}
	c.Checksum.Function = "sha256"
	c.Cipher.Function = "aes-128-ctr"
	c.Cipher.Params.IV = random(aes.BlockSize)
	public := key.PublicKey()
	doc.PublicKey = hex.EncodeToString(public[:])
	doc.UUID = randomUUID()
	doc.Version = 4

	derived, err := c.KDF.Params.derive(c.KDF.Function, password)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	err = key.Use(func(b []byte) (err error) {
		c.Cipher.Message, err = doc.crypt(derived, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.Checksum.Message = doc.checksum(derived)
	return json.MarshalIndent(doc, "", "  ")
}

func random(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b) // never fails: crypto/rand
	return b
}

// randomUUID is a version 4 UUID (RFC 9562), which EIP-2335 asks for.
func randomUUID() string {
	b := random(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
