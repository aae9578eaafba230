package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// certificate is a client's certificate that stands for a token: by its public key, or by its subject and the authority that vouches for it.
type certificate struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Policies []string `json:"policies"`
	Created  int64    `json:"created"`
	Expires  int64    `json:"expires"`
	// SPKI is the SHA-256 of the public key as certificates have it (SubjectPublicKeyInfo, RFC 5280), in hex; "" for one by its subject.
	SPKI string `json:"spki_sha256"`
	// Subject is the distinguished name as RFC 2253 writes it.
	Subject string `json:"subject"`
	CAPEM   string `json:"ca_pem"`
}

// keptCertificate is one ready to be asked.
type keptCertificate struct {
	certificate
	spki   [32]byte
	cas    *x509.CertPool // nil for one by its public key
	holder *holder
}

func (c certificate) compile(policies map[string][]rule) (keptCertificate, error) {
	k := keptCertificate{certificate: c}
	rules, err := join(policies, c.Policies)
	if err == nil {
		err = checkName(c.Name)
	}
	if err == nil {
		err = k.identify()
	}
	if err != nil {
		return keptCertificate{}, fmt.Errorf("certificate %.80q: %w", c.Name, err)
	}
	k.holder = &holder{label: "certificate " + c.ID + " (" + c.Name + ")", rules: rules}
	return k, nil
}

func (k *keptCertificate) identify() (err error) {
	switch {
	case (k.SPKI == "") == (k.Subject == ""):
		return errors.New("want spki_sha256 or subject, and not both")
	case k.SPKI != "" && k.CAPEM != "":
		return errors.New("ca_pem goes with subject alone")
	case k.SPKI != "":
		k.spki, err = parseSPKI(k.SPKI)
		return err
	}
	k.cas = x509.NewCertPool()
	rest := []byte(k.CAPEM)
	for n := 0; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if n == 0 || len(bytes.TrimSpace(rest)) > 0 {
				return errors.New("ca_pem: want certificates in PEM")
			}
			return nil
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("ca_pem: %w", err)
		}
		k.cas.AddCert(ca)
	}
}

// is says whether a client's certificate is this one now. The handshake has shown that the client has its key.
func (k *keptCertificate) is(chain []*x509.Certificate, now time.Time) bool {
	leaf := chain[0]
	if expired(k.Expires, now) || now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return false
	}
	if k.cas == nil {
		return sha256.Sum256(leaf.RawSubjectPublicKeyInfo) == k.spki
	}
	if leaf.Subject.String() != k.Subject {
		return false
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: k.cas, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}
