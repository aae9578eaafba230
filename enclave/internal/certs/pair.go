package certs

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// loadPair reads a certificate chain and its key. The digest is of both files, to see whether they changed.
func loadPair(certPath, keyPath string) (*tls.Certificate, [sha256.Size]byte, error) {
	var none [sha256.Size]byte
	certPEM, err := read("tls.file.cert_path: certificate", certPath)
	if err != nil {
		return nil, none, err
	}
	keyPEM, err := read("tls.file.key_path: key", keyPath)
	if err != nil {
		return nil, none, err
	}
	defer clear(keyPEM)
	chain, leaf, err := parseChain(certPEM)
	if err != nil {
		return nil, none, fmt.Errorf("tls.file.cert_path: certificate %s: %w", certPath, err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, none, fmt.Errorf("tls.file.key_path: key %s: %w", keyPath, err)
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, none, fmt.Errorf("tls.file: certificate %s and key %s do not match", certPath, keyPath)
	}
	h := sha256.New()
	_, _ = h.Write(certPEM)
	_, _ = h.Write(keyPEM)
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, [sha256.Size]byte(h.Sum(nil)), nil
}

func read(what, path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s not found: %w", what, err)
	case err != nil:
		return nil, fmt.Errorf("%s unreadable: %w", what, err)
	}
	return b, nil
}

// parseChain returns all certificates of a PEM file, the leaf first. A block that cannot be read is an error and not passed over, as
// package pem does: a file that was cut off while it was written has lost its intermediates, and clients would find no chain.
func parseChain(b []byte) (chain [][]byte, leaf *x509.Certificate, err error) {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("malformed certificate, number %d in the file: %w", len(chain)+1, err)
		}
		if leaf == nil {
			leaf = c
		}
		chain = append(chain, block.Bytes)
	}
	if leaf == nil {
		return nil, nil, errors.New("malformed PEM: no CERTIFICATE block")
	}
	if begun := bytes.Count(b, []byte("-----BEGIN CERTIFICATE-----")); begun != len(chain) {
		return nil, nil, fmt.Errorf("malformed PEM: %d CERTIFICATE blocks, of which %d can be read", begun, len(chain))
	}
	return chain, leaf, nil
}

// parseKey returns the first private key of a PEM file. Errors say nothing of the content.
func parseKey(b []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // such as EC PARAMETERS, which openssl writes before the key
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
		}
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		return nil, fmt.Errorf("malformed key: %s block is neither PKCS #8, PKCS #1 nor SEC 1, or is encrypted", block.Type)
	}
	return nil, errors.New("malformed PEM: no PRIVATE KEY block")
}
