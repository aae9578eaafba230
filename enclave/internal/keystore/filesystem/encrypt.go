package filesystem

import (
	"encoding/hex"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// passwordEntropy is the size of what NewPassword is made of, in bytes.
const passwordEntropy = 32

// NewPassword is a password of 256 random bits, as 64 hexadecimal digits. Nobody guesses it, however few rounds a keystore takes that is
// encrypted with it. The caller clears it.
func NewPassword() []byte {
	b := random(passwordEntropy)
	defer clear(b)
	return hex.AppendEncode(make([]byte, 0, hex.EncodedLen(len(b))), b)
}

// EncryptKeystore returns a key as an EIP-2335 keystore in JSON, which OpenKeystore opens. rounds is the work of PBKDF2, 1 to 1<<24. key and
// password stay the caller's.
func EncryptKeystore(key *bls.SecretKey, password []byte, rounds int) ([]byte, error) {
	if rounds < 1 || rounds > maxPBKDF2Rounds {
		return nil, fmt.Errorf("encrypt keystore: %d rounds, want 1 to %d", rounds, maxPBKDF2Rounds)
	}
	text, err := encrypt(key, password, rounds)
	if err != nil {
		return nil, fmt.Errorf("encrypt keystore of %s: %w", key.PublicKey().Short(), err)
	}
	return text, nil
}
