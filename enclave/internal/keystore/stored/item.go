package stored

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// role is that of the chamber's items which are validator keys.
const role = "validator-key"

// nameOf is what an item's ciphertext is bound to beside its version: it opens for no other key, and the key in no other status.
func nameOf(item store.Key) string {
	return hex.EncodeToString(item.PublicKey[:]) + "/" + item.Status.String()
}

// The plaintext of an item is
//
//	1 byte    payloadFormat, or canaryFormat for a key that nobody should ever ask for
//	32 bytes  the secret key, big-endian
//	2 bytes   length of the backup, big-endian
//	n bytes   the backup
const (
	payloadFormat = 1
	canaryFormat  = 2
	payloadHeader = 1 + bls.SecretKeySize + 2
	// MaxBackup is the most bytes that the backup of a key may have.
	MaxBackup = 8 << 10
)

var (
	errPayload   = errors.New("what was sealed is no key")
	errNewer     = errors.New("the key was sealed by a newer release")
	errPublicKey = errors.New("the secret key is that of another public key")
)

// withPayload lends f the plaintext of a key.
func withPayload(key Key, f func(payload []byte) error) error {
	if len(key.Backup) > MaxBackup {
		return fmt.Errorf("the backup has %d bytes, the limit is %d", len(key.Backup), MaxBackup)
	}
	payload := make([]byte, 0, payloadHeader+len(key.Backup))
	defer func() { clear(payload) }()
	format := byte(payloadFormat)
	if key.Canary {
		format = canaryFormat
	}
	payload = append(payload, format)
	err := key.Secret.Use(func(b []byte) error {
		payload = append(payload, b...)
		return nil
	})
	if err != nil {
		return err
	}
	payload = binary.BigEndian.AppendUint16(payload, uint16(len(key.Backup)))
	payload = append(payload, key.Backup...)
	return f(payload)
}

// parsePayload returns parts of the payload itself.
func parsePayload(payload []byte) (scalar, backup []byte, err error) {
	if len(payload) > 0 && payload[0] > canaryFormat {
		return nil, nil, fmt.Errorf("%w, in format %d; this one reads %d", errNewer, payload[0], canaryFormat)
	}
	if len(payload) < payloadHeader || payload[0] != payloadFormat && payload[0] != canaryFormat {
		return nil, nil, fmt.Errorf("%w: %d bytes", errPayload, len(payload))
	}
	scalar, backup = payload[1:1+bls.SecretKeySize], payload[payloadHeader:]
	size := int(binary.BigEndian.Uint16(payload[payloadHeader-2:]))
	if size != len(backup) || size > MaxBackup {
		return nil, nil, fmt.Errorf("%w: a backup of %d bytes that says %d", errPayload, len(backup), size)
	}
	return scalar, backup, nil
}

// secretOf returns a copy of the secret key of a payload, which must be that of a public key.
func secretOf(payload []byte, public bls.PublicKey) (*bls.SecretKey, error) {
	scalar, _, err := parsePayload(payload)
	if err != nil {
		return nil, err
	}
	made, err := bls.NewSecretKey(slices.Clone(scalar))
	if err != nil {
		return nil, err
	}
	if made.PublicKey() != public {
		made.Wipe()
		return nil, fmt.Errorf("%w, %s", errPublicKey, made.PublicKey())
	}
	return made, nil
}

// withItem lends f the payload of an authentic item, and its secret key, which is wiped afterwards unless f keeps it.
func (s *Source) withItem(item store.Key, f func(payload []byte, key *bls.SecretKey) (keep bool, err error)) error {
	opened, err := s.o.Sealer.Open(role, nameOf(item), item.Version, item.Body)
	if err != nil {
		return err
	}
	defer opened.Wipe()
	return opened.Use(func(payload []byte) error {
		key, err := secretOf(payload, item.PublicKey)
		if err != nil {
			return err
		}
		keep, err := f(payload, key)
		if !keep {
			key.Wipe()
		}
		return err
	})
}

// opens returns nil for an authentic item, and else why it is none.
func (s *Source) opens(item store.Key) error {
	return s.withItem(item, func([]byte, *bls.SecretKey) (keep bool, err error) { return false, nil })
}

// openItem makes the key of an item. The caller wipes it unless the keystore takes it.
func (s *Source) openItem(item store.Key) (key *keystore.Key, err error) {
	err = s.withItem(item, func(payload []byte, made *bls.SecretKey) (keep bool, err error) {
		key = keystore.NewKey(made)
		key.SetCanary(payload[0] == canaryFormat)
		return true, nil
	})
	return key, err
}
