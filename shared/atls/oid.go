package atls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
)

// OID names the certificate extension that holds an attestation document: 2.25.2121235557.1. Arc 2.25 is for identifiers that
// nobody hands out (ITU-T X.667); it takes a UUID, but package crypto/x509 reads no arc above 31 bits, so that ours is the
// upper 31 bits of SHA-256("containment-chamber attestation document").
func OID() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 25, 2121235557, 1} }

// Extension is the extension that a server puts into its certificate. Its value is the document as a DER OCTET STRING. It is not
// critical, so that clients that do not know it can still look at the certificate.
func Extension(document []byte) pkix.Extension {
	value, _ := asn1.Marshal(document) // cannot fail for a byte slice
	return pkix.Extension{Id: OID(), Value: value}
}

// Document returns the attestation document in a certificate, as it came from the NSM. Nothing of it, or of the certificate, is verified:
// that is for [attestation.Verify] and a [ClientConfig]. It is an error if the certificate has no attestation extension, more than one, one
// that is critical, or one that is no OCTET STRING.
func Document(c *x509.Certificate) ([]byte, error) {
	var found []pkix.Extension
	for _, e := range c.Extensions {
		if e.Id.Equal(OID()) {
			found = append(found, e)
		}
	}
	switch {
	case len(found) == 0:
		return nil, errors.New("the certificate holds no attestation document: the server is not attested")
	case len(found) > 1:
		return nil, errors.New("the certificate holds more than one attestation extension")
	case found[0].Critical:
		return nil, errors.New("the attestation extension is marked critical")
	}
	var document []byte
	if rest, err := asn1.Unmarshal(found[0].Value, &document); err != nil || len(rest) > 0 {
		return nil, errors.New("the attestation extension is not one DER OCTET STRING")
	}
	return document, nil
}
