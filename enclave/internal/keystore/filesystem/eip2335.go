package filesystem

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"unicode"

	"golang.org/x/crypto/scrypt"
	"golang.org/x/text/unicode/norm"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// What a keystore may ask of us. Usual are n=262144, r=8, p=1, whose work is 1<<21, and c=262144. Work bounds memory too, to
// 10 GiB; what this machine can give of that, [KDFMemory] says.
const (
	maxScryptWork   = 1 << 25 // n r p: some fifteen seconds
	maxPBKDF2Rounds = 1 << 24 // some four seconds
	maxSalt         = 1 << 10 // bytes
)

// derivedSize is the size of the derived key in bytes: half for the cipher, half for the checksum.
const derivedSize = 32

var errPassword = errors.New("wrong password")

// document is an EIP-2335 keystore, version 4, as far as it matters here.
type document struct {
	Crypto struct {
		KDF      module[kdfParams]    `json:"kdf"`
		Checksum module[struct{}]     `json:"checksum"`
		Cipher   module[cipherParams] `json:"cipher"`
	} `json:"crypto"`
	Description string `json:"description,omitempty"`
	PublicKey   string `json:"pubkey,omitempty"`
	Path        string `json:"path"`
	UUID        string `json:"uuid"`
	Version     int    `json:"version"`
}

type module[P any] struct {
	Function string `json:"function"`
	Params   P      `json:"params"`
	Message  octets `json:"message"`
}

type kdfParams struct {
	Size int    `json:"dklen"`
	N    int    `json:"n,omitempty"`   // scrypt
	R    int    `json:"r,omitempty"`   // scrypt
	P    int    `json:"p,omitempty"`   // scrypt
	C    int    `json:"c,omitempty"`   // pbkdf2
	PRF  string `json:"prf,omitempty"` // pbkdf2
	Salt octets `json:"salt"`
}

type cipherParams struct {
	IV octets `json:"iv"`
}

// octets are hexadecimal digits in JSON.
type octets []byte

func (o octets) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(o)), nil }

func (o *octets) UnmarshalText(text []byte) error {
	b := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(b, text); err != nil {
		return err
	}
	*o = b
	return nil
}

// parseKeystore reads a keystore whose work is bounded. Errors quote nothing of the text: it may be another file that was
// named by mistake.
func parseKeystore(text []byte) (*document, error) {
	doc := new(document)
	if err := json.Unmarshal(text, doc); err != nil {
		return nil, malformedJSON(err)
	}
	if err := doc.check(); err != nil {
		return nil, err
	}
	return doc, nil
}

// OpenKeystore decrypts an EIP-2335 keystore, and checks that the key belongs to its pubkey field if there is one. It waits for
// memory until ctx ends; what has begun is brought to its end. text and password stay the caller's.
func OpenKeystore(ctx context.Context, memory *KDFMemory, text, password []byte) (*bls.SecretKey, error) {
	doc, err := parseKeystore(text)
	if err != nil {
		return nil, err
	}
	kdf := &doc.Crypto.KDF
	derived, err := memory.run(ctx, kdf.Params.memory(kdf.Function), func() ([]byte, error) { return kdf.Params.derive(kdf.Function, password) })
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	if subtle.ConstantTimeCompare(doc.checksum(derived), doc.Crypto.Checksum.Message) != 1 {
		return nil, errPassword
	}
	scalar, err := doc.crypt(derived, doc.Crypto.Cipher.Message)
	if err != nil {
		return nil, err
	}
	key, err := bls.NewSecretKey(scalar)
	if err != nil {
		return nil, err
	}
	if err := doc.names(key.PublicKey()); err != nil {
		key.Wipe()
		return nil, err
	}
	return key, nil
}

// check makes the rest safe: sizes fit, and the work is bounded.
func (d *document) check() error {
	c := &d.Crypto
	switch {
	case d.Version != 4:
		return fmt.Errorf("version is %d, want 4", d.Version)
	case c.Cipher.Function != "aes-128-ctr":
		return errors.New("crypto.cipher.function is not aes-128-ctr")
	case len(c.Cipher.Params.IV) != aes.BlockSize:
		return fmt.Errorf("crypto.cipher.params.iv has %d bytes, want %d", len(c.Cipher.Params.IV), aes.BlockSize)
	case len(c.Cipher.Message) != bls.SecretKeySize:
		return fmt.Errorf("crypto.cipher.message has %d bytes, want %d", len(c.Cipher.Message), bls.SecretKeySize)
	case c.Checksum.Function != "sha256":
		return errors.New("crypto.checksum.function is not sha256")
	case len(c.Checksum.Message) != sha256.Size:
		return fmt.Errorf("crypto.checksum.message has %d bytes, want %d", len(c.Checksum.Message), sha256.Size)
	}
	return c.KDF.Params.check(c.KDF.Function)
}

func (p *kdfParams) check(function string) error {
	const at = "crypto.kdf.params"
	if p.Size != derivedSize {
		return fmt.Errorf("%s.dklen is %d, want %d", at, p.Size, derivedSize)
	}
	if len(p.Salt) > maxSalt {
		return fmt.Errorf("%s.salt has %d bytes, more than %d", at, len(p.Salt), maxSalt)
	}
	switch function {
	case "scrypt":
		switch {
		case p.N < 2 || p.N&(p.N-1) != 0 || p.R < 1 || p.P < 1:
			return fmt.Errorf("%s: scrypt with n=%d r=%d p=%d: n must be a power of two, r and p at least 1", at, p.N, p.R, p.P)
		case p.N > maxScryptWork/p.R || p.P > maxScryptWork/p.N/p.R:
			return fmt.Errorf("%s: scrypt with n=%d r=%d p=%d takes too long, the most for their product is %d", at, p.N, p.R, p.P, maxScryptWork)
		}
	case "pbkdf2":
		switch {
		case p.PRF != "hmac-sha256":
			return fmt.Errorf("%s.prf is not hmac-sha256", at)
		case p.C < 1:
			return fmt.Errorf("%s.c is %d, want at least 1", at, p.C)
		case p.C > maxPBKDF2Rounds:
			return fmt.Errorf("%s: pbkdf2 with c=%d takes too long, the most is %d", at, p.C, maxPBKDF2Rounds)
		}
	default:
		return errors.New("crypto.kdf.function is neither scrypt nor pbkdf2")
	}
	return nil
}

// memory is what derive allocates, in bytes. Scrypt has a table of n blocks of 128 r bytes, room to mix two of them, and p blocks
// that go through the table one after the other (RFC 7914, section 6); so a large p takes memory as well.
func (p *kdfParams) memory(function string) int64 {
	if function != "scrypt" {
		return 0 // to speak of
	}
	return 128 * int64(p.R) * (int64(p.N) + 2 + int64(p.P))
}

// derive makes derivedSize bytes from a password. The parameters have been checked.
func (p *kdfParams) derive(function string, password []byte) ([]byte, error) {
	normal := normalise(password)
	defer clear(normal)
	if function == "pbkdf2" {
		return pbkdf2.Key(sha256.New, string(normal), p.Salt, p.C, derivedSize)
	}
	return scrypt.Key(normal, p.Salt, p.N, p.R, p.P, derivedSize)
}

// normalise is EIP-2335's password rule: NFKD, and no C0, C1 or Delete characters.
func normalise(password []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) { // exactly C0, DEL and C1
			return -1
		}
		return r
	}, norm.NFKD.Bytes(password))
}

// checksum is SHA-256 over the second half of the derived key and the encrypted message.
func (d *document) checksum(derived []byte) []byte {
	h := sha256.New()
	h.Write(derived[derivedSize/2:])
	h.Write(d.Crypto.Cipher.Message)
	return h.Sum(nil)
}

// crypt encrypts or decrypts, which is the same in counter mode, with the first half of the derived key.
func (d *document) crypt(derived, in []byte) ([]byte, error) {
	block, err := aes.NewCipher(derived[:derivedSize/2])
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(in))
	cipher.NewCTR(block, d.Crypto.Cipher.Params.IV).XORKeyStream(out, in)
	return out, nil
}

// names checks the pubkey field, which EIP-2335 asks for without 0x and leaves optional.
func (d *document) names(public bls.PublicKey) error {
	if d.PublicKey == "" {
		return nil
	}
	want, err := bls.ParsePublicKey(d.PublicKey)
	if err != nil {
		return fmt.Errorf("field pubkey: %w", err)
	}
	if want != public {
		return fmt.Errorf("field pubkey names %s, but the key is that of %s", want, public)
	}
	return nil
}

func malformedJSON(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %s has the wrong type", e.Field)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not valid JSON at byte %d", e.Offset)
	}
	return errors.New("a field that must be hexadecimal digits is not")
}
