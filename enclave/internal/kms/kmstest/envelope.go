package kmstest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"slices"
)

// form is how an envelope's content is written: AWS is known to use two.
type form struct {
	primitive bool
	chunk     int // bytes; 0 is 1000
}

const defaultChunk = 1000

//nolint:gochecknoglobals // constants: RFC 5652, RFC 4055, NIST's
var (
	oidEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidOAEP          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidMGF1          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidAES256CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// Tags, X.690 section 8.1.2.
const (
	tagInteger     = 0x02
	tagOctets      = 0x04
	tagNull        = 0x05
	tagSequence    = 0x30
	tagSet         = 0x31
	tagContext0    = 0x80 // primitive
	tagConstruct0  = 0xa0
	tagConstruct1  = 0xa1
	indefinite     = 0x80
	shortestLong   = 0x80
	envelopeFormat = 2 // version of EnvelopedData and of KeyTransRecipientInfo with a subjectKeyIdentifier
)

// seal encrypts a plaintext for the holder of an RSA key: CMS EnvelopedData (RFC 5652) with RSAES-OAEP and AES-256-CBC. The outer
// structures have indefinite lengths and so are BER, not DER, as AWS writes them; the recipient has definite ones.
func seal(plaintext []byte, to *rsa.PublicKey, as form) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(to)
	if err != nil {
		return nil, err
	}
	secret := random(32)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, to, secret, nil)
	if err != nil {
		return nil, err
	}
	iv, content, err := encryptCBC(plaintext, secret)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(spki)
	hash := definite(tagSequence, oid(oidSHA256), definite(tagNull))
	recipient := definite(tagSequence,
		definite(tagInteger, []byte{envelopeFormat}),
		definite(tagContext0, id[:]),
		definite(tagSequence, oid(oidOAEP), definite(tagSequence,
			definite(tagConstruct0, hash),
			definite(tagConstruct1, definite(tagSequence, oid(oidMGF1), hash)),
		)),
		definite(tagOctets, wrapped),
	)
	return open(tagSequence, oid(oidEnvelopedData), open(tagConstruct0, open(tagSequence,
		definite(tagInteger, []byte{envelopeFormat}),
		definite(tagSet, recipient),
		open(tagSequence,
			oid(oidData),
			definite(tagSequence, oid(oidAES256CBC), definite(tagOctets, iv)),
			as.content(content),
		),
	))), nil
}

// content is [0] IMPLICIT OCTET STRING, in pieces or in one.
func (f form) content(ciphertext []byte) []byte {
	if f.primitive {
		return definite(tagContext0, ciphertext)
	}
	size := f.chunk
	if size == 0 {
		size = defaultChunk
	}
	var pieces [][]byte
	for piece := range slices.Chunk(ciphertext, size) {
		pieces = append(pieces, definite(tagOctets, piece))
	}
	return open(tagConstruct0, pieces...)
}

func encryptCBC(plaintext, secret []byte) (iv, ciphertext []byte, err error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, nil, err
	}
	pad := aes.BlockSize - len(plaintext)%aes.BlockSize
	padded := append(slices.Clone(plaintext), bytes.Repeat([]byte{byte(pad)}, pad)...) // RFC 5652, section 6.3
	iv = random(aes.BlockSize)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	return iv, padded, nil
}

// definite is an element whose length is told, X.690 sections 8.1.3.4 and 8.1.3.5.
func definite(tag byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	if len(body) < shortestLong {
		return append([]byte{tag, byte(len(body))}, body...)
	}
	length := bytes.TrimLeft(binary.BigEndian.AppendUint32(nil, uint32(len(body))), "\x00")
	return slices.Concat([]byte{tag, indefinite | byte(len(length))}, length, body)
}

// open is an element that ends with two zero bytes, X.690 section 8.1.3.6.
func open(tag byte, parts ...[]byte) []byte {
	return slices.Concat([]byte{tag, indefinite}, slices.Concat(parts...), []byte{0, 0})
}

func oid(id asn1.ObjectIdentifier) []byte {
	der, err := asn1.Marshal(id)
	if err != nil {
		panic("kmstest: " + err.Error()) // one of the constants above
	}
	return der
}
