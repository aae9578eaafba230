package envelope_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

// testKey is the key that the envelopes in testdata are for.
func testKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

// short is an element with a definite length, long one with an indefinite.
func short(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	switch n := len(content); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, content...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, content...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, content...)
	}
}

func long(tag byte, parts ...[]byte) []byte {
	return append(append([]byte{tag, 0x80}, bytes.Join(parts, nil)...), 0, 0)
}

func oid(t testing.TB, arcs ...int) []byte {
	t.Helper()
	out, err := asn1.Marshal(asn1.ObjectIdentifier(arcs))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// layout is an envelope in its parts, each a whole element unless it says otherwise.
type layout struct {
	outer, inner func(tag byte, parts ...[]byte) []byte // the form of what KMS gives indefinite lengths, and of the rest

	contentType, version          []byte
	recipientVersion, name        []byte
	keyAlgorithm                  []byte // the object identifier
	hash, mask                    []byte
	label                         []byte // follows the mask; empty: none
	key                           []byte
	dataType, cipher, iv, content []byte
	before, after, more           []byte // in EnvelopedData, before and after all else, and beside the recipient
	trailing                      []byte
}

var (
	null      = []byte{5, 0}
	sha256OID = []int{2, 16, 840, 1, 101, 3, 4, 2, 1}
)

// kmsLayout is an envelope as KMS makes it.
func kmsLayout(t testing.TB, key *rsa.PublicKey, plaintext []byte) *layout {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	name := sha256.Sum256(spki)
	contentKey, iv := make([]byte, 32), make([]byte, aes.BlockSize)
	_, _ = rand.Read(contentKey)
	_, _ = rand.Read(iv)
	hash := short(0x30, oid(t, sha256OID...), null)
	return &layout{
		outer: long, inner: short,
		contentType: oid(t, 1, 2, 840, 113549, 1, 7, 3), version: []byte{2, 1, 2},
		recipientVersion: []byte{2, 1, 2}, name: short(0x80, name[:]),
		keyAlgorithm: oid(t, 1, 2, 840, 113549, 1, 1, 7), hash: hash, mask: short(0x30, oid(t, 1, 2, 840, 113549, 1, 1, 8), hash),
		key:      short(4, encryptKey(t, key, contentKey)),
		dataType: oid(t, 1, 2, 840, 113549, 1, 7, 1), cipher: oid(t, 2, 16, 840, 1, 101, 3, 4, 1, 42), iv: short(4, iv),
		content: long(0xa0, short(4, encryptContent(t, contentKey, iv, pad(plaintext)))),
	}
}

func encryptKey(t testing.TB, key *rsa.PublicKey, contentKey []byte) []byte {
	t.Helper()
	out, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key, contentKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func pad(plaintext []byte) []byte {
	n := aes.BlockSize - len(plaintext)%aes.BlockSize
	return append(bytes.Clone(plaintext), bytes.Repeat([]byte{byte(n)}, n)...)
}

func encryptContent(t testing.TB, key, iv, padded []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(padded))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, padded)
	return out
}

// recipient is the KeyTransRecipientInfo.
func (l *layout) recipient() []byte {
	parameters := l.inner(0x30, l.inner(0xa0, l.hash), l.inner(0xa1, l.mask), l.label)
	return l.inner(0x30, l.recipientVersion, l.name, l.inner(0x30, l.keyAlgorithm, parameters), l.key)
}

// bytes puts the parts together.
func (l *layout) bytes() []byte {
	encrypted := l.outer(0x30, l.dataType, l.inner(0x30, l.cipher, l.iv), l.content)
	enveloped := l.outer(0x30, l.before, l.version, l.inner(0x31, l.recipient(), l.more), encrypted, l.after)
	return append(l.outer(0x30, l.contentType, l.outer(0xa0, enveloped)), l.trailing...)
}
