package chamber

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/shamir"
)

const (
	// idSize is the size of a chamber's id in bytes.
	idSize = 16
	// derived is the size of a key from the master key in bytes.
	derived = 32
	// domain begins the info of every key from the master key, and the associated data of everything sealed.
	domain = "containment-chamber/v1/"
)

// What keys are derived for.
const (
	forID      = "chamber-id"
	forMAC     = "state-mac"
	forEndorse = "endorsement"
	forSealing = "seal/" // and the kind of the item
)

// generation is a master key and the id of the chamber that it makes. Nothing derived from it is kept, so that to wipe the one is to wipe
// all.
type generation struct {
	id     string
	master secret.Bytes
}

// newGeneration makes a new master key.
func newGeneration() (*generation, error) {
	key := make([]byte, shamir.KeySize)
	rand.Read(key)
	return generationOf(secret.New(key))
}

// generationOf takes a master key over.
func generationOf(master secret.Bytes) (*generation, error) {
	g := &generation{master: master}
	err := g.derive(forID, idSize, func(id []byte) error {
		g.id = hex.EncodeToString(id)
		return nil
	})
	if err != nil {
		master.Wipe()
		return nil, err
	}
	return g, nil
}

func (g *generation) wipe() {
	if g != nil {
		g.master.Wipe()
	}
}

// derive lends f a key of so many bytes, made from the master key for one purpose (HKDF-SHA256, RFC 5869).
func (g *generation) derive(purpose string, size int, f func(key []byte) error) error {
	return g.master.Use(func(master []byte) error {
		key, err := hkdf.Key(sha256.New, master, nil, domain+purpose, size)
		if err != nil {
			return fmt.Errorf("derive a key: %w", err)
		}
		defer clear(key)
		return f(key)
	})
}

// mac is the HMAC-SHA256 of data under the key for a purpose.
func (g *generation) mac(purpose string, data []byte) (sum []byte, err error) {
	err = g.derive(purpose, derived, func(key []byte) error {
		sum = macOf(key, data)
		return nil
	})
	return sum, err
}

func macOf(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

// bind joins a role and what belongs to it, so that no other role and parts give the same bytes.
func bind(role string, parts ...string) []byte {
	var out []byte
	for _, part := range append([]string{domain + role}, parts...) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}

// keyring is the master key, and during its rotation also the one before.
type keyring struct{ now, before *generation }

// find returns the generation of an id, nil if there is none.
func (k *keyring) find(id string) *generation {
	for _, g := range k.all() {
		if g.id == id {
			return g
		}
	}
	return nil
}

func (k *keyring) all() []*generation {
	if k == nil {
		return nil
	}
	return slices.DeleteFunc([]*generation{k.now, k.before}, func(g *generation) bool { return g == nil })
}

// beforeID is the id of the chamber before, "" if there is none.
func (k *keyring) beforeID() string {
	if k.before == nil {
		return ""
	}
	return k.before.id
}

// wipeExcept wipes the keys that the other keyring does not have.
func (k *keyring) wipeExcept(other *keyring) {
	for _, g := range k.all() {
		if !slices.Contains(other.all(), g) {
			g.wipe()
		}
	}
}

func hexOf(text string, size int) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == size && hex.EncodeToString(b) == text
}
