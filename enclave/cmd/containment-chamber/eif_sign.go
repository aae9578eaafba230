package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// signFlags say who signs.
type signFlags struct {
	certificate, key    string
	replace, jsonOutput bool
}

func newEIFSign() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sign --signing-certificate FILE --private-key FILE IN OUT",
		Short: "Sign an image that somebody else built, such as that of a release",
		Long: `Sign an image that somebody else built, such as that of a release. OUT has all that IN has, and a signature: PCR0, 1 and 2 stay, and
PCR8 is that of the certificate. The same image, certificate and key give the same bytes, those of a build that signs. OUT may be IN.

An image that is signed already is refused, so that nobody's signature is lost unseen; --replace takes it away.

Exit code: 0 signed; 1 the image is refused; 2 the command line, or a file that it names, is wrong.`,
		Args: usage(cobra.ExactArgs(2)),
	}
	f, flags := &signFlags{}, cmd.Flags()
	flags.StringVar(&f.certificate, "signing-certificate", "", "PEM `file` of the certificate to sign with, P-384: names PCR8")
	flags.StringVar(&f.key, "private-key", "", "PEM `file` of its private key")
	flags.BoolVar(&f.replace, "replace", false, "take away the signature that the image has")
	flags.BoolVar(&f.jsonOutput, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], args[1]) }
	return cmd
}

func (f *signFlags) run(cmd *cobra.Command, in, out string) error {
	if err := refuseEmpty(cmd.Flags(), "signing-certificate", "private-key"); err != nil {
		return err
	}
	if f.certificate == "" || f.key == "" {
		return usageError{errors.New("want --signing-certificate and --private-key")}
	}
	key, err := signingKey(f.certificate, f.key)
	if err != nil {
		return err
	}
	image, err := openImage(in)
	if err != nil {
		return err
	}
	defer image.close()
	raw, err := f.sign(image, key)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	file, summary, err := writeImage(out, raw)
	if err != nil {
		return err
	}
	warn(cmd, signerWarnings(file, file.PCRs))
	return printBuilt(cmd.OutOrStdout(), f.jsonOutput, file.PCRs, summary)
}

// sign gives the bytes of the signed image.
func (f *signFlags) sign(image openedImage, key *eif.SigningKey) ([]byte, error) {
	switch {
	case image.Signer != nil && !f.replace:
		return nil, fmt.Errorf("is signed already, with the certificate of %q; --replace takes that signature away", image.Signer.Certificate.Subject)
	case image.Metadata == nil: // of a version before 4, which nitro-cli does not write any more
		return nil, fmt.Errorf("version %d has no metadata, without which no image is written", image.Version)
	}
	var raw bytes.Buffer
	if err := eif.WriteSigned(&raw, image.Image, key); err != nil {
		return nil, err
	}
	// The file was read again for it. Nobody meant to sign what it may have become.
	again, err := eif.Parse(bytes.NewReader(raw.Bytes()), int64(raw.Len()))
	if err != nil {
		return nil, err
	}
	if before, now := image.PCRs[0], again.PCRs[0]; before != now {
		return nil, fmt.Errorf("changed while it was signed: PCR0 was %v and is %v", before, now)
	}
	return raw.Bytes(), nil
}
