package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// maxEvidence is more bytes than any document has, in a certificate and in PEM too.
const maxEvidence = 2*attestation.MaxDocument + 16<<10

// evidence is an attestation document as it came, and the certificate that it stood in; that is nil if it came alone.
type evidence struct {
	document    []byte
	certificate *x509.Certificate
}

// readEvidence reads a document, or a certificate around one in PEM or DER, from a file or from standard input for -.
func readEvidence(cmd *cobra.Command, path string) (evidence, error) {
	text, err := readInput(cmd, path, maxEvidence)
	if err != nil {
		return evidence{}, err
	}
	e, err := parseEvidence(text)
	if err != nil {
		return evidence{}, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

func parseEvidence(text []byte) (evidence, error) {
	const sequence, second = 0x30, 0x82 // what every certificate of this size begins with in DER, and nothing else that is expected
	switch {
	case len(text) == 0:
		return evidence{}, errors.New("empty, want an attestation document, or a certificate with one")
	case len(text) > 1 && text[0] == sequence && text[1] == second:
		return inCertificate(text)
	case text[0] < utf8.RuneSelf && bytes.Contains(text, []byte("-----BEGIN ")): // no document begins with ASCII
		block, _ := pem.Decode(text) // others may follow, and text around them, as tools print it: the server's own comes first
		switch {
		case block == nil:
			return evidence{}, errors.New("malformed PEM")
		case block.Type != "CERTIFICATE":
			return evidence{}, fmt.Errorf("PEM of type %.40q, want CERTIFICATE", block.Type)
		}
		return inCertificate(block.Bytes)
	}
	return evidence{document: text}, nil
}

func inCertificate(der []byte) (evidence, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return evidence{}, err
	}
	document, err := atls.Document(c)
	if err != nil {
		return evidence{}, err
	}
	return evidence{document: document, certificate: c}, nil
}
