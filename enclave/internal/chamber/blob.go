package chamber

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

const (
	blobFormat = 1
	// blobHeader is the format and the id of the chamber, in bytes. The id tells which master key it was sealed with.
	blobHeader = 1 + idSize
	// Overhead is how many bytes longer than its plaintext a sealed item is: header, nonce and tag.
	Overhead = blobHeader + 12 + 16
)

// Seal seals an item for this chamber, with AES-256-GCM under a key of its kind, bound to chamber, kind, name and version. It returns
// ErrSealed, or ErrStale if the signer state was not read for a while: a rotation of the master key waits for those who seal.
func (c *Chamber) Seal(kind, name string, version uint64, plaintext []byte) ([]byte, error) {
	v := c.outside()
	if v.keys == nil {
		return nil, fmt.Errorf("seal %s %s: %w", kind, name, v.errSealed())
	}
	if lease := c.lease(); lease != 0 && time.Since(v.refreshed) > lease {
		return nil, fmt.Errorf("seal %s %s: %w, but %s ago", kind, name, ErrStale, time.Since(v.refreshed).Round(time.Second))
	}
	blob, err := v.keys.now.seal(kind, name, version, plaintext)
	if errors.Is(err, secret.ErrWiped) {
		err = ErrSealed
	}
	if err != nil {
		return nil, fmt.Errorf("seal %s %s: %w", kind, name, err)
	}
	return blob, nil
}

// Open opens what Seal sealed with the same kind, name and version. The caller wipes what it gets. It returns ErrSealed, ErrForeign,
// ErrNewer or ErrCorrupt.
func (c *Chamber) Open(kind, name string, version uint64, blob []byte) (secret.Bytes, error) {
	plaintext, err := c.outside().open(kind, name, version, blob)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("open %s %s: %w", kind, name, err)
	}
	return plaintext, nil
}

// Current says whether a blob is sealed with the master key of now, and not with one that is being replaced.
func (c *Chamber) Current(blob []byte) bool {
	id, err := blobID(blob)
	v := c.outside()
	return err == nil && v.keys != nil && id == v.keys.now.id
}

func (v *view) open(kind, name string, version uint64, blob []byte) (secret.Bytes, error) {
	if v.keys == nil {
		return secret.Bytes{}, v.errSealed()
	}
	return v.keys.open(kind, name, version, blob)
}

func (k *keyring) open(kind, name string, version uint64, blob []byte) (secret.Bytes, error) {
	id, err := blobID(blob)
	if err != nil {
		return secret.Bytes{}, err
	}
	g := k.find(id)
	if g == nil {
		return secret.Bytes{}, fmt.Errorf("%w, but of %s", ErrForeign, id)
	}
	plaintext, err := g.open(kind, name, version, blob)
	if errors.Is(err, secret.ErrWiped) {
		err = ErrSealed
	}
	return plaintext, err
}

// blobID reads the header of a blob, which is not authentic until it is opened.
func blobID(blob []byte) (string, error) {
	switch {
	case len(blob) < Overhead:
		return "", fmt.Errorf("%w: %d bytes, not at least %d", ErrCorrupt, len(blob), Overhead)
	case blob[0] > blobFormat:
		return "", fmt.Errorf("%w: format %d, this release reads %d", ErrNewer, blob[0], blobFormat)
	case blob[0] != blobFormat:
		return "", fmt.Errorf("%w: format %d", ErrCorrupt, blob[0])
	}
	return hex.EncodeToString(blob[1:blobHeader]), nil
}

func (g *generation) seal(kind, name string, version uint64, plaintext []byte) (blob []byte, err error) {
	header, err := hex.AppendDecode([]byte{blobFormat}, []byte(g.id))
	if err != nil {
		return nil, err
	}
	err = g.aead(kind, func(a cipher.AEAD) error {
		blob = a.Seal(header, nil, plaintext, itemData(g.id, kind, name, version)) //nolint:gosec // this cipher makes its own nonces
		return nil
	})
	return blob, err
}

func (g *generation) open(kind, name string, version uint64, blob []byte) (secret.Bytes, error) {
	var plaintext []byte
	err := g.aead(kind, func(a cipher.AEAD) (err error) {
		plaintext, err = a.Open([]byte{}, nil, blob[blobHeader:], itemData(g.id, kind, name, version))
		if err != nil {
			return ErrCorrupt
		}
		return nil
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	return secret.New(plaintext), nil
}

// itemData is what an item is bound to.
func itemData(id, kind, name string, version uint64) []byte {
	return bind("item", strconv.Itoa(blobFormat), id, kind, name, strconv.FormatUint(version, 10))
}

// aead lends f the cipher of a kind. What it makes of the key stays behind in memory until it is used again.
func (g *generation) aead(kind string, f func(a cipher.AEAD) error) error {
	return g.derive(forSealing+kind, derived, func(key []byte) error { return withGCM(key, f) })
}

// withGCM lends f AES-256-GCM with random nonces of 96 bits: enough for 2^32 uses of a key (NIST SP 800-38D, section 8.3).
func withGCM(key []byte, f func(a cipher.AEAD) error) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	a, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return err
	}
	return f(a)
}
