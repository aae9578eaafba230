package pgpool

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
)

// tlsConfig is nil for sslmode disable.
func tlsConfig(t pgurl.Target, cas *x509.CertPool) *tls.Config {
	c := &tls.Config{ServerName: t.Host, RootCAs: cas, MinVersion: tls.VersionTLS12}
	switch t.SSLMode {
	case "disable":
		return nil
	case "require":
		c.InsecureSkipVerify = true // the URL asks for encryption without knowing the server
	case "verify-ca":
		c.InsecureSkipVerify = true // VerifyConnection verifies all but the name, as the URL asks
		c.VerifyConnection = func(s tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: cas, Intermediates: x509.NewCertPool()}
			for _, intermediate := range s.PeerCertificates[1:] { // a server that sends none was refused by the handshake
				options.Intermediates.AddCert(intermediate)
			}
			_, err := s.PeerCertificates[0].Verify(options)
			return err
		}
	}
	return c
}
