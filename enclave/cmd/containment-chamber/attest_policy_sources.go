package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// maxNitroJSON is more than nitro-cli ever prints, in bytes; the metadata of an image is at most 1 MiB.
const maxNitroJSON = 4 << 20

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
	got, err := fetchDocument(cmd.Context(), base, nil)
	if err != nil {
		return nil, err
	}
	j.at = time.Now()
	if _, err := j.verify(evidence{document: got.document}); err != nil {
		return nil, refused(err)
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
	warn(cmd, []string{"this is what runs at " + base.Host + "; nothing vouches that it should"})
	return out, nil
}

// parseNitroCLI reads what nitro-cli prints about an image.
func parseNitroCLI(text []byte) (attestation.Measurements, error) {
	var out struct {
		Measurements *struct{ HashAlgorithm, PCR0, PCR1, PCR2, PCR8 string }
		CheckCRC     *bool
	}
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("not the JSON of nitro-cli alone: %w", err)
	}
	m := out.Measurements
	switch {
	case m == nil:
		return nil, errors.New("no Measurements: want the output of build-enclave or describe-eif")
	case !strings.HasPrefix(m.HashAlgorithm, "Sha384"):
		return nil, fmt.Errorf("Measurements.HashAlgorithm: %.40q, want Sha384", m.HashAlgorithm)
	case out.CheckCRC != nil && !*out.CheckCRC:
		return nil, errors.New("CheckCRC: false: the image is damaged")
	}
	pcrs := attestation.Measurements{}
	for index, text := range map[int]string{0: m.PCR0, 1: m.PCR1, 2: m.PCR2, 8: m.PCR8} {
		if index == 8 && text == "" { // nobody signed the image
			continue
		}
		value, err := attestation.ParsePCR(text)
		if err != nil {
			return nil, fmt.Errorf("Measurements.PCR%d: %w", index, err)
		}
		pcrs[index] = value
	}
	return pcrs, nil
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
