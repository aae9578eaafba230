package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

const notVerified = "NOT VERIFIED: anybody can write a document that says this; \"attest verify\" tells whether it holds"

func newAttestDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe FILE|-",
		Short: "Show everything that stands in a document, without a look at whether it is true",
		Long: `Show everything that stands in a document, without a look at whether it is true.

FILE is an attestation document (COSE_Sign1), or a certificate with one in PEM or DER.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := readEvidence(cmd, args[0])
		if err != nil {
			return err
		}
		raw, err := parseRaw(e.document)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		out := unverified{
			Size: len(e.document), Algorithm: algorithm(raw.Algorithm), Unprotected: raw.Unprotected, Signature: len(raw.Signature), Document: raw.describe(),
		}
		if e.certificate != nil {
			c := describeCertificate(e.certificate)
			out.Certificate = &c
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), out)
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), out)
		return err
	}
	return cmd
}

// unverified is what "attest describe" prints.
type unverified struct {
	Verified    bool                    `json:"verified"` // false
	Size        int                     `json:"size_bytes"`
	Algorithm   string                  `json:"algorithm"`
	Unprotected int                     `json:"unprotected_headers"`
	Signature   int                     `json:"signature_bytes"`
	Certificate *certificateDescription `json:"certificate"` // around the document; null if it came alone
	Document    documentDescription     `json:"document"`
}

func (u unverified) String() string {
	out := notVerified + "\n"
	if u.Certificate != nil {
		out += fmt.Sprintf("%-11s %s\n", "certificate", u.Certificate)
	}
	out += fmt.Sprintf("%-11s %d bytes, algorithm %s, signature of %d bytes\n", "document", u.Size, u.Algorithm, u.Signature)
	if u.Unprotected > 0 {
		out += fmt.Sprintf("%-11s %d entries in the unprotected header\n", "", u.Unprotected)
	}
	return out + u.Document.String()
}

// algorithm names a COSE algorithm (RFC 9053, section 2.1).
func algorithm(id int64) string {
	switch id {
	case -7:
		return "ES256"
	case -35:
		return "ES384"
	case -36:
		return "ES512"
	}
	return fmt.Sprint(id)
}
