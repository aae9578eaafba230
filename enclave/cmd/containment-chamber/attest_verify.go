package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

func newAttestVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify FILE|-",
		Short: "Verify a document, offline: signature, chain up to the root, and what a policy allows",
		Long: `Verify a document, offline: signature, chain up to the root, and what a policy allows.

FILE is an attestation document (COSE_Sign1), or a certificate with one in PEM or DER, whose key must then be the one
that the document speaks of. A document ends after about three hours; an older one is verified --at the time when it was
received. Without --policy, any enclave in AWS has a document that holds.

Exit code: 0 verified, 1 refused, 2 the command line, or a file that it names, is wrong.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	flags := newEvidenceFlags(cmd)
	at := cmd.Flags().String("at", "", "verify as of this `time`, as 2026-03-01T12:00:00Z (default now)")
	nonce := cmd.Flags().String("nonce", "", "what the document's nonce must be, in `hexadecimal`")
	asJSON := cmd.Flags().Bool("json", false, "print JSON, of a refusal too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		j, err := flags.judge()
		if err == nil {
			err = j.as(cmd, *at, *nonce)
		}
		if err != nil {
			return err
		}
		e, err := readEvidence(cmd, args[0])
		if err != nil {
			return refuse(cmd, *asJSON, err)
		}
		v, err := j.verify(e)
		if err != nil {
			return refuse(cmd, *asJSON, fmt.Errorf("%s: %w", args[0], err))
		}
		warn(cmd, j.warnings())
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), v)
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), v)
		return err
	}
	return cmd
}

// judge decides about documents that are no part of a connection.
type judge struct {
	policy     *attestation.Policy // nil allows any program that is not in debug mode
	policyFile string
	roots      []*x509.Certificate
	rootFile   string
	at         time.Time
	offline    bool // at was given
	nonce      []byte
}

// as takes the time, and the nonce, that flags give.
func (j *judge) as(cmd *cobra.Command, at, nonce string) error {
	j.at = time.Now()
	var err error
	if cmd.Flags().Changed("at") {
		j.offline = true
		if j.at, err = time.Parse(time.RFC3339, at); err != nil || j.at.IsZero() {
			return usageError{fmt.Errorf("--at: %q is no time such as 2026-03-01T12:00:00Z (RFC 3339)", at)}
		}
	}
	if cmd.Flags().Changed("nonce") {
		if j.nonce, err = hex.DecodeString(nonce); err != nil || len(j.nonce) == 0 {
			return usageError{errors.New("--nonce: want hexadecimal digits, two for each byte")}
		}
	}
	return nil
}

// verify decides in the order of a handshake: the document holds, the policy allows it, and it speaks of the certificate that it
// stood in.
func (j *judge) verify(e evidence) (verified, error) {
	doc, err := attestation.Verify(e.document, attestation.Options{Roots: j.roots, Now: j.at, Nonce: j.nonce})
	if err != nil {
		return verified{}, j.advise(err)
	}
	out := verified{Verified: true, At: j.at.UTC(), Root: j.root(), NotAfter: doc.NotAfter.UTC(), Document: verifiedDocument(doc).describe()}
	binding, unread := atls.ParseBinding(doc.UserData)
	if out.Set, err = j.allow(doc, binding, unread); err != nil {
		return verified{}, err
	}
	if e.certificate == nil {
		return out, nil
	}
	if err := j.bound(e.certificate, binding, unread); err != nil {
		return verified{}, err
	}
	c := describeCertificate(e.certificate)
	out.Certificate = &c
	return out, nil
}

// allow holds a document that is genuine to the policy.
func (j *judge) allow(doc *attestation.Document, binding atls.Binding, unread error) (*setDescription, error) {
	policy := attestation.Policy{Sets: []attestation.Set{{PCRs: attestation.Measurements{0: doc.PCRs[0]}}}} // which refuses debug mode
	if j.policy != nil {
		policy = *j.policy
	}
	digest := policy.ConfigDigest
	if unread != nil {
		policy.ConfigDigest = nil // there is none to compare, which is told below
	}
	set, err := policy.Check(doc, attestation.Claims{Build: binding.Build, Config: binding.Config}, j.at)
	switch {
	case err != nil:
		return nil, err
	case digest != nil && unread != nil:
		return nil, fmt.Errorf("the policy names config_digest, and the document tells none: %w", unread)
	case j.policy == nil:
		return nil, nil
	}
	return &setDescription{File: j.policyFile, Label: set.Label}, nil
}

// bound makes sure that whoever holds the certificate's key is whom the document speaks of.
func (j *judge) bound(c *x509.Certificate, binding atls.Binding, unread error) error {
	switch {
	case unread != nil:
		return fmt.Errorf("the document does not speak of the certificate's key: %w", unread)
	case binding.Purpose != atls.PurposeCertificate:
		return fmt.Errorf("the document is for purpose %q, and stands in a certificate", binding.Purpose)
	case binding.SPKI != sha256.Sum256(c.RawSubjectPublicKeyInfo):
		return errOtherKey
	case j.at.Add(attestation.Leeway).Before(c.NotBefore) || j.at.After(c.NotAfter):
		return fmt.Errorf("the certificate is valid from %s to %s, not at %s",
			c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), j.at.UTC().Format(time.RFC3339))
	}
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		return fmt.Errorf("the certificate is not signed by its own key: %w", err)
	}
	return nil
}

// root names what the chain leads to.
func (j *judge) root() string {
	if j.rootFile != "" {
		return j.rootFile
	}
	return "AWS"
}

const noPolicy = "without --" + flagPolicy + " nothing says that it is your enclave: it is some enclave, of anybody"

// warnings are what a result does not say.
func (j *judge) warnings() (out []string) {
	if j.policy == nil {
		out = append(out, noPolicy)
	}
	if j.policy != nil && j.policy.Proof == attestation.ProofPerConnection {
		out = append(out, "the policy demands a proof per connection, which no file can give")
	}
	if j.rootFile != "" {
		out = append(out, "whoever holds the key of "+j.rootFile+" can write any document")
	}
	return out
}

// advise adds what may help.
func (j *judge) advise(err error) error {
	if expired, ok := errors.AsType[x509.CertificateInvalidError](err); ok && expired.Reason == x509.Expired && !j.offline {
		return fmt.Errorf("%w; --at verifies it as of the time when it was received", err)
	}
	if errors.As(err, new(x509.UnknownAuthorityError)) && j.rootFile == "" {
		return fmt.Errorf("%w; %s", err, notAWS)
	}
	return err
}
