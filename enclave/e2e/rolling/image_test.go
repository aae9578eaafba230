package rolling

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// image is a release of the enclave.
type image struct{ name, path, pcr0 string }

// newImage copies the signer's binary with so many bytes more: it does the same, and has another PCR0.
func newImage(t *testing.T, name string, more int) image {
	t.Helper()
	program, err := os.ReadFile(filepath.Join(binaries, "containment-chamber"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(binaries, name)
	if err := os.WriteFile(path, append(program, make([]byte, more)...), 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := software.Measure(path)
	if err != nil {
		t.Fatal(err)
	}
	return image{name, path, m.PCR0.String()}
}

// trust is what a client knows that accepts some images with the site's configuration.
func (s *site) trust(t *testing.T, images ...image) attestation.Policy {
	t.Helper()
	var all attestation.Policy
	for _, i := range images {
		p, _, err := rig.Trust(i.path, s.replicas[0].config, software.RootFile(s.path("nsm")))
		if err != nil {
			t.Fatal(err)
		}
		p.Sets[0].Label = i.name
		all.Sets = append(all.Sets, p.Sets...)
	}
	return all
}

// keyPolicy is that of a KMS key which some images may use.
func (s *site) keyPolicy(arn string, images ...image) []byte {
	m := rig.Measured{PCR8: s.pcr8}
	for _, i := range images {
		m.PCR0 = append(m.PCR0, i.pcr0)
	}
	return rig.KeyPolicy(arn, m)
}

// allow has these images and no others open the shares of the master key.
func (s *site) allow(t *testing.T, images ...image) {
	t.Helper()
	for _, arn := range rig.ShareKeys() {
		if err := s.kms.SetPolicy(arn, s.keyPolicy(arn, images...)); err != nil {
			t.Fatal(err)
		}
	}
}
