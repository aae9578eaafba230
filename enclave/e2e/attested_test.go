package e2e

import (
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// attestedClient verifies the signer's binary, under the development root in a directory.
func attestedClient(t *testing.T, dir string) *http.Client {
	t.Helper()
	return attestedClientFor(t, dir, filepath.Join(binaries, "containment-chamber"))
}

// attestedClientFor accepts one program alone.
func attestedClientFor(t *testing.T, dir, program string) *http.Client {
	t.Helper()
	m, err := software.Measure(program)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(software.RootFile(filepath.Join(dir, "nsm")))
	if err != nil {
		t.Fatal(err)
	}
	root, err := attestation.ParseRoot(text)
	if err != nil {
		t.Fatal(err)
	}
	config, err := atls.ClientConfig(atls.Options{
		Roots:  []*x509.Certificate{root},
		Policy: attestation.Policy{Sets: []attestation.Set{{PCRs: attestation.Measurements{0: m.PCR0, 1: m.PCR1, 2: m.PCR2}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}
