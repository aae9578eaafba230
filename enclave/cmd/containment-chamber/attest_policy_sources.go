package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// measured are the registers of the source that the flags name, if any.
func (f *policyFlags) measured(cmd *cobra.Command) (attestation.Measurements, error) {
	switch {
	case f.image != "":
		file, err := parseImage(f.image)
		if err != nil {
			return nil, err
		}
		return file.PCRs, nil
	case f.nitro != "":
		text, err := readInput(cmd, f.nitro, maxNitroJSON)
		if err != nil {
			return nil, err
		}
		pcrs, err := parseNitroCLI(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("--from-nitro-cli: %s: %w", f.nitro, err)}
		}
		return pcrs, nil
	case f.signer != "":
		return f.running(cmd)
	}
	return attestation.Measurements{}, nil
}

// running are the registers of an enclave that runs.
func (f *policyFlags) running(cmd *cobra.Command) (attestation.Measurements, error) {
	base, err := parseSignerURL("--from-signer", f.signer)
	if err != nil {
		return nil, err
	}
	flags := evidenceFlags{attestedFlags{flags: cmd.Flags(), root: f.root}}
	j, err := flags.judge()
	if err != nil {
		return nil, err
	}
	got, err := fetchVerified(cmd.Context(), base, j)
	if err != nil {
		return nil, err
	}
	doc, err := attestation.Verify(got.document, attestation.Options{Roots: j.roots, Now: j.at})
	if err != nil {
		return nil, refused(err)
	}
	out := attestation.Measurements{}
	for _, index := range attestation.Registers() {
		if value, ok := doc.PCRs[index]; ok && (index != 16 || !value.IsZero()) {
			out[index] = value
		}
	}
	if base.Scheme == "http" {
		warn(cmd, []string{"http: " + saysNothing})
	}
	warn(cmd, []string{"this is what runs at " + base.Host + "; nothing vouches that it should"})
	return out, nil
}

// computed are the registers that follow from what the flags say about the place that an image runs in, and the digest of the
// configuration if one is named.
func (f *policyFlags) computed() (attestation.Measurements, *[48]byte, error) {
	out := attestation.Measurements{}
	var digest *[48]byte
	if f.config != "" {
		cfg, err := config.Load(config.Sources{Path: f.config})
		if err != nil {
			return nil, nil, usageError{err}
		}
		sum := cfg.Digest()
		digest = &sum
		out[16] = eif.PCR16(sum)
	}
	if f.role != "" {
		if !strings.HasPrefix(f.role, "arn:") || !strings.Contains(f.role, ":role/") {
			return nil, nil, usageError{fmt.Errorf("--role-arn: %.200q, want arn:aws:iam::ACCOUNT:role/NAME", f.role)}
		}
		out[3] = eif.PCR3(f.role)
	}
	if f.certificate != "" {
		der, err := readCertificate(f.certificate)
		if err != nil {
			return nil, nil, usageError{fmt.Errorf("--signing-certificate: %w", err)}
		}
		out[8] = eif.PCR8(der)
	}
	return out, digest, nil
}

// readCertificate reads the first certificate of a PEM file, which is the one that PCR8 measures.
func readCertificate(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s: no certificate in PEM", path)
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return block.Bytes, nil
}
