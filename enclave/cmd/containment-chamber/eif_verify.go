package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// verifyRegisters are the registers that an image decides.
func verifyRegisters() []int { return []int{0, 1, 2, 8} }

func newEIFVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify an image: its structure, checksum and signature, and that it is the one that is expected",
		Long: `Verify an image: its structure, checksum and signature, and that it is the one that is expected.

A signature that is there must be by its own certificate over this image. Whose certificate that is, only
--signing-certificate or --pcr8 tells; with either, an image without a signature is refused.

Exit code: 0 verified, 1 refused, 2 the command line, or a file that it names, is wrong.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	f := &verifyFlags{expected: map[int]*string{}}
	cmd.Flags().StringVar(&f.certificate, "signing-certificate", "", "PEM `file` of the certificate that must have signed the image")
	for _, register := range verifyRegisters() {
		name := fmt.Sprintf("pcr%d", register)
		f.expected[register] = cmd.Flags().String(name, "", fmt.Sprintf("what PCR%d must be, 96 `hexadecimal` digits", register))
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON, of a refusal too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		want, err := f.want(cmd)
		if err != nil {
			return err
		}
		file, err := parseImage(args[0])
		if err == nil {
			if err = expect(file, want); err != nil {
				err = fmt.Errorf("%s: %w", args[0], err)
			}
		}
		if err != nil {
			return refuse(cmd, *asJSON, err)
		}
		warn(cmd, signerWarnings(file, want))
		if *asJSON {
			d := file.Describe()
			return printJSON(cmd.OutOrStdout(), verifiedImage{true, d.PCRs, d.Signer})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "verified %s\n", args[0])
		return printRegisters(cmd.OutOrStdout(), file.PCRs)
	}
	return cmd
}

// verifiedImage is what "eif verify" prints of an image that holds.
type verifiedImage struct {
	Verified bool                   `json:"verified"` // true
	PCRs     map[string]string      `json:"pcrs"`
	Signer   *eif.SignerDescription `json:"signer"` // null if the image is not signed
}

// verifyFlags say what an image must be.
type verifyFlags struct {
	certificate string
	expected    map[int]*string // register → digits
}

func (f *verifyFlags) want(cmd *cobra.Command) (attestation.Measurements, error) {
	out := attestation.Measurements{}
	for _, register := range verifyRegisters() {
		name := fmt.Sprintf("pcr%d", register)
		if !cmd.Flags().Changed(name) {
			continue
		}
		value, err := attestation.ParsePCR(*f.expected[register])
		if err != nil {
			return nil, usageError{fmt.Errorf("--%s: %w", name, err)}
		}
		out[register] = value
	}
	if err := refuseEmpty(cmd.Flags(), "signing-certificate"); err != nil || f.certificate == "" {
		return out, err
	}
	der, err := readCertificate(f.certificate)
	if err != nil {
		return nil, usageError{fmt.Errorf("--signing-certificate: %w", err)}
	}
	value := eif.PCR8(der)
	if given, ok := out[8]; ok && given != value {
		return nil, usageError{errors.New("--signing-certificate and --pcr8 name different certificates")}
	}
	out[8] = value
	return out, nil
}

// expect compares an image with what it must be.
func expect(file *eif.File, want attestation.Measurements) error {
	var differ []string
	for _, register := range verifyRegisters() {
		value, asked := want[register]
		got, has := file.PCRs[register]
		switch {
		case !asked:
		case !has:
			differ = append(differ, "the image is not signed")
		case got != value:
			differ = append(differ, fmt.Sprintf("PCR%d is %v, want %v", register, got, value))
		}
	}
	if len(differ) > 0 {
		return errors.New(strings.Join(differ, "; "))
	}
	return nil
}

// signerWarnings are what an image that holds does not say.
func signerWarnings(file *eif.File, want attestation.Measurements) (out []string) {
	_, asked := want[8]
	switch {
	case file.Signer == nil:
		out = append(out, "the image is not signed: PCR8 of its enclaves is zero")
	case !asked:
		out = append(out, "the image is signed with the certificate that it brings along: without --signing-certificate or --pcr8 nothing says whose that is")
	}
	return append(out, dateWarnings(file)...)
}

// dateWarnings are of a signing certificate whose time is not now.
func dateWarnings(file *eif.File) (out []string) {
	if file.Signer == nil {
		return nil
	}
	begin, end, now := file.Signer.Certificate.NotBefore, file.Signer.Certificate.NotAfter, time.Now()
	if now.After(end) {
		out = append(out, "the signing certificate ended at "+end.UTC().Format(time.RFC3339)+": nitro-cli refuses to start this image")
	}
	if now.Before(begin) {
		out = append(out, "the signing certificate begins at "+begin.UTC().Format(time.RFC3339)+": until then nitro-cli refuses to start this image")
	}
	return out
}
