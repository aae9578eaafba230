package config

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// CAs are the certificates of ca_pem, nil if it is empty.
func (a AntiSlashing) CAs() (*x509.CertPool, error) { return parseCAs(a.CAPEM) }

// CAs are the certificates of ca_pem, nil if it is empty.
func (s SignerState) CAs() (*x509.CertPool, error) { return parseCAs(s.CAPEM) }

// CAs are the certificates of ca_pem, nil if it is empty.
func (t StoredTable) CAs() (*x509.CertPool, error) { return parseCAs(t.CAPEM) }

// CAs are the certificates of kms_ca_pem, nil if it is empty.
func (c Chamber) CAs() (*x509.CertPool, error) { return parseCAs(c.KMSCAPEM) }

func parseCAs(text string) (*x509.CertPool, error) {
	found, err := parseCertificates(text)
	if err != nil || len(found) == 0 {
		return nil, err // no pool means the system's, as in crypto/tls
	}
	pool := x509.NewCertPool()
	for _, cert := range found {
		pool.AddCert(cert)
	}
	return pool, nil
}

// parseCertificates reads PEM, in which line breaks may be spaces.
func parseCertificates(text string) ([]*x509.Certificate, error) {
	const begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
	rest := strings.TrimSpace(text)
	var found []*x509.Certificate
	for n := 1; rest != ""; n++ {
		body, after, ended := strings.Cut(strings.TrimPrefix(rest, begin), end)
		if !ended || !strings.HasPrefix(rest, begin) {
			return nil, errors.New("want certificates, each from " + begin + " to " + end + ", and nothing else")
		}
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
		if err != nil {
			return nil, fmt.Errorf("certificate %d is not base64: %w", n, err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", n, err)
		}
		found = append(found, cert)
		rest = strings.TrimSpace(after)
	}
	return found, nil
}

func (c *checker) authorities() {
	for _, section := range []struct{ key, pem string }{
		{"chamber.kms_ca_pem", c.Chamber.KMSCAPEM},
		{"signer_state.ca_pem", c.SignerState.CAPEM},
		{"key_sources.dynamodb.ca_pem", c.KeySources.DynamoDB.CAPEM},
		{"anti_slashing.ca_pem", c.AntiSlashing.CAPEM},
	} {
		if _, err := parseCAs(section.pem); err != nil {
			c.refuse(section.key, nil, "%w", err)
		}
	}
}
