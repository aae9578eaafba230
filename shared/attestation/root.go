package attestation

import (
	"bytes"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
)

// awsRootPEM is the root "G1" of AWS's commercial partition, valid until 28 October 2049, as
// https://docs.aws.amazon.com/enclaves/latest/user/verify-root.html describes it.
//
//go:embed aws-root-g1.pem
var awsRootPEM []byte

// AWSRoot is the root of AWS's commercial partition. It is compiled in; GovCloud and China have others.
func AWSRoot() *x509.Certificate {
	root, err := parseCA(awsRootPEM)
	if err != nil {
		panic("attestation: compiled-in root: " + err.Error()) // a broken build, not input
	}
	return root
}

// ParseRoot reads a file that holds one root certificate in PEM and nothing else: self-signed, P-384, allowed to sign
// certificates.
func ParseRoot(text []byte) (*x509.Certificate, error) {
	c, err := parseCA(text)
	if err != nil {
		return nil, err
	}
	if err := c.CheckSignatureFrom(c); err != nil {
		return nil, fmt.Errorf("root certificate: %w", err)
	}
	return c, nil
}

// parseCA leaves the signature out, which the compiled-in root need not prove at each verification.
func parseCA(text []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("root certificate: no PEM block found")
	case block.Type != "CERTIFICATE":
		return nil, fmt.Errorf("root certificate: PEM block is %.40q, want CERTIFICATE", block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("root certificate: more follows after the first PEM block")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err == nil {
		err = checkCA(c)
	}
	if err != nil {
		return nil, fmt.Errorf("root certificate: %w", err)
	}
	return c, nil
}
