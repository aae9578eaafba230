package kmstest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
)

// element is one of BER.
type element struct {
	tag        byte
	indefinite bool
	body       []byte // of a primitive one
	parts      []element
}

// readBER reads one element and what follows it.
func readBER(b []byte) (element, []byte, error) {
	if len(b) < 2 {
		return element{}, nil, errors.New("cut off")
	}
	e := element{tag: b[0]}
	length, rest := int(b[1]), b[2:]
	if length == 0x80 {
		e.indefinite = true
		for !bytes.HasPrefix(rest, []byte{0, 0}) {
			part, after, err := readBER(rest)
			if err != nil {
				return element{}, nil, err
			}
			e.parts, rest = append(e.parts, part), after
		}
		return e, rest[2:], nil
	}
	if length > 0x80 {
		n := length & 0x7f
		if n > 2 || len(rest) < n {
			return element{}, nil, errors.New("a length of too many bytes")
		}
		length = 0
		for _, digit := range rest[:n] {
			length = length<<8 | int(digit)
		}
		rest = rest[n:]
	}
	if length > len(rest) {
		return element{}, nil, errors.New("cut off")
	}
	e.body = rest[:length]
	if e.tag&0x20 != 0 {
		for inner := e.body; len(inner) > 0; {
			part, after, err := readBER(inner)
			if err != nil {
				return element{}, nil, err
			}
			e.parts, inner = append(e.parts, part), after
		}
	}
	return e, rest[length:], nil
}

// String is the structure in a form that a test can be compared with.
func (e element) String() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%02x", e.tag)
	if e.indefinite {
		b.WriteByte('*')
	}
	if e.parts == nil && !e.indefinite {
		if len(e.body) <= 11 {
			fmt.Fprintf(&b, "[%s]", hex.EncodeToString(e.body))
		} else {
			fmt.Fprintf(&b, "[%d]", len(e.body))
		}
		return b.String()
	}
	b.WriteByte('{')
	for _, part := range e.parts {
		b.WriteString(part.String())
	}
	b.WriteByte('}')
	return b.String()
}

// openEnvelope is what an enclave does, without the care that it needs.
func openEnvelope(t *testing.T, raw []byte, with *rsa.PrivateKey) (plaintext []byte, structure string) {
	t.Helper()
	e, rest, err := readBER(raw)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%x: %v, %d bytes follow", raw, err, len(rest))
	}
	data := e.parts[1].parts[0]
	recipient, content := data.parts[1].parts[0], data.parts[2]
	spki, err := x509.MarshalPKIXPublicKey(&with.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if id := sha256.Sum256(spki); !bytes.Equal(recipient.parts[1].body, id[:]) {
		t.Error("the envelope is for another key")
	}
	secret, err := rsa.DecryptOAEP(sha256.New(), nil, with, recipient.parts[3].body, nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	ciphertext := bytes.Clone(content.parts[2].body)
	for _, piece := range content.parts[2].parts {
		ciphertext = append(ciphertext, piece.body...)
	}
	cipher.NewCBCDecrypter(block, content.parts[1].parts[1].body).CryptBlocks(ciphertext, ciphertext)
	pad := int(ciphertext[len(ciphertext)-1])
	return ciphertext[:len(ciphertext)-pad], e.String()
}
