package rig

import (
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// Trust is what a careful client of a simulated enclave knows beforehand: the measurements of the signer's binary and
// of the configuration file, computed here, and the development root in rootFile, named explicitly.
func Trust(signer, configFile, rootFile string) (attestation.Policy, *x509.Certificate, error) {
	m, err := software.Measure(signer)
	if err != nil {
		return attestation.Policy{}, nil, err
	}
	text, err := os.ReadFile(rootFile)
	if err != nil {
		return attestation.Policy{}, nil, fmt.Errorf("read the development root: %w", err)
	}
	root, err := attestation.ParseRoot(text)
	if err != nil {
		return attestation.Policy{}, nil, fmt.Errorf("read the development root %s: %w", rootFile, err)
	}
	cfg, err := config.Load(config.Sources{Path: configFile})
	if err != nil {
		return attestation.Policy{}, nil, err
	}
	digest := cfg.Digest()
	told := attestation.PCR(sha512.Sum384(append(make([]byte, sha512.Size384), digest[:]...)))
	registers := attestation.Measurements{0: m.PCR0, 1: m.PCR1, 2: m.PCR2, 16: told}
	return attestation.Policy{Sets: []attestation.Set{{Label: "this build", PCRs: registers}}}, root, nil
}

// MakeRoot makes the development root of simulated enclaves in dir, or reads the one that is there. roleARN is that of the enclaves, if they have one.
func MakeRoot(dir, signer, roleARN string) (*x509.Certificate, error) {
	session, err := software.Open(software.Options{Dir: dir, Executable: signer, RoleARN: roleARN})
	if err != nil {
		return nil, err
	}
	return session.Root(), session.Close()
}
