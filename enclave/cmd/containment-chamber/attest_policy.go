package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// policyFlags say what a policy is made of.
type policyFlags struct {
	image, nitro, signer, root        string // sources
	config, role, certificate         string
	label, expires, minBuild, proof   string
	maxAge                            time.Duration
	anySigned, bindConfig, jsonOutput bool
	addTo                             string
}

func newAttestPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Make a policy that allows one enclave: of an image, of what nitro-cli says, or of what runs",
		Long: `Make a policy that allows one enclave: of an image, of what nitro-cli says, or of what runs. It is written to
standard output, in YAML or with --json in JSON.

PCR0, 1 and 2 tell the image, and PCR8 who signed it. A public image has the same in a stranger's account: name --role-arn
or --config too, whose registers are computed here. What --from-signer finds is what runs, whatever that is; with --config,
--role-arn or --signing-certificate, a signer with another register is refused.

Exit code: 0 done; 1 the source is refused, or does not answer; 2 the command line, or a file that it names, is wrong.`,
		Args: usage(cobra.NoArgs),
	}
	f, flags := &policyFlags{}, cmd.Flags()
	flags.StringVar(&f.image, "from-eif", "", "enclave image `file`, which is measured")
	flags.StringVar(&f.nitro, "from-nitro-cli", "", "`file` with the output of nitro-cli build-enclave or describe-eif, - for standard input")
	flags.StringVar(&f.signer, "from-signer", "", "`URL` of a running enclave, https for its API or http for its health port")
	flags.StringVar(&f.root, flagRoot, "", "PEM `file` of a root to trust in place of AWS's, with --from-signer: development only, refused with PRODUCTION=true")
	flags.StringVar(&f.config, "config", "", "configuration `file` that the enclave is told, as written: names PCR16")
	flags.BoolVar(&f.bindConfig, "config-digest", false, "name the digest of --config beside PCR16, as what the program must say of itself")
	flags.StringVar(&f.role, "role-arn", "", "`ARN` of the instance's IAM role: names PCR3")
	flags.StringVar(&f.certificate, "signing-certificate", "", "PEM `file` of the certificate that signs images: names PCR8")
	flags.StringVar(&f.label, "label", "", "what errors and logs call this enclave, `text` of at most 64 characters")
	flags.StringVar(&f.expires, "expires", "", "`time` at which this enclave is allowed no more, as 2027-01-01T00:00:00Z")
	flags.StringVar(&f.minBuild, "min-build", "", "lowest `version` that the program may claim, as 1.2.3")
	flags.BoolVar(&f.anySigned, "allow-any-signed-build", false, "leave out PCR0, 1 and 2: any image of PCR8's signer, from --min-build on")
	flags.StringVar(&f.proof, "proof", "", "how a signer proves itself: certificate or per-connection (default certificate)")
	flags.DurationVar(&f.maxAge, "max-age", 0, "greatest age of a document, in whole seconds, as 2h")
	flags.StringVar(&f.addTo, "add-to", "", "policy `file` to add this enclave to, for a rollout; the file itself stays as it is")
	flags.BoolVar(&f.jsonOutput, "json", false, "write JSON, in its canonical form")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return f.run(cmd) }
	return cmd
}

func (f *policyFlags) run(cmd *cobra.Command) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	set, digest, err := f.set(cmd)
	if err != nil {
		return err
	}
	policy := attestation.Policy{}
	if f.addTo != "" {
		if policy, err = policyfile.Read(f.addTo); err != nil {
			return usageError{fmt.Errorf("--add-to: %w", err)}
		}
	}
	policy.Sets = append(slices.Clone(policy.Sets), set)
	policy.AllowAnySignedBuild = policy.AllowAnySignedBuild || f.anySigned
	if f.proof != "" {
		policy.Proof = attestation.Proof(f.proof)
	}
	if f.maxAge != 0 {
		policy.MaxAge = f.maxAge
	}
	if f.bindConfig {
		policy.ConfigDigest = digest
	}
	if err := policy.Validate(); err != nil {
		return usageError{err}
	}
	text, err := policy.Marshal()
	if !f.jsonOutput {
		text, err = policyfile.Format(policy, "") // Marshal has checked it
	}
	if err != nil {
		return err
	}
	if set.PCRs[3].IsZero() && set.PCRs[16].IsZero() {
		warn(cmd, []string{"neither PCR3 nor PCR16 tells your enclave from the same image in a stranger's account: --role-arn and --config name them"})
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

// check looks at what can be seen before anything is read.
func (f *policyFlags) check(cmd *cobra.Command) error {
	if err := refuseEmpty(cmd.Flags(), "from-eif", "from-nitro-cli", "from-signer", flagRoot, "config", "role-arn", "signing-certificate", "label", "expires", "min-build", "proof", "add-to"); err != nil {
		return err
	}
	var sources []string
	for _, source := range [][2]string{{"--from-eif", f.image}, {"--from-nitro-cli", f.nitro}, {"--from-signer", f.signer}} {
		if source[1] != "" {
			sources = append(sources, source[0])
		}
	}
	switch {
	case cmd.Flags().Changed("max-age") && f.maxAge == 0:
		return usageError{errors.New("--max-age: 0s, want whole seconds, or leave it out")}
	case len(sources) > 1:
		return usageError{errors.New(strings.Join(sources, " and ") + " go one without the other")}
	case len(sources) == 0 && !f.anySigned:
		return usageError{errors.New("want one of --from-eif, --from-nitro-cli and --from-signer; or --allow-any-signed-build with --signing-certificate and --min-build")}
	case f.root != "" && f.signer == "":
		return usageError{errors.New("--" + flagRoot + " goes with --from-signer")}
	case f.bindConfig && f.config == "":
		return usageError{errors.New("--config-digest goes with --config")}
	}
	return nil
}

// set puts together what the source and the other flags say, and the digest of the configuration if there is one.
func (f *policyFlags) set(cmd *cobra.Command) (attestation.Set, *[48]byte, error) {
	set := attestation.Set{Label: f.label, MinBuild: f.minBuild, PCRs: attestation.Measurements{}}
	if f.expires != "" {
		at, err := time.Parse(time.RFC3339, f.expires)
		if err != nil {
			return set, nil, usageError{fmt.Errorf("--expires: %q is no time such as 2027-01-01T00:00:00Z (RFC 3339)", f.expires)}
		}
		set.Expires = at.UTC()
	}
	computed, digest, err := f.computed()
	if err != nil {
		return set, nil, err
	}
	measured, err := f.measured(cmd)
	if err != nil {
		return set, nil, err
	}
	for index, value := range measured {
		set.PCRs[index] = value
	}
	for _, index := range attestation.Registers() {
		want, named := computed[index]
		got, known := measured[index]
		switch {
		case !named:
		case f.signer != "" && (!known || got != want), known && got != want:
			return set, nil, mismatch(index, want, got, known)
		default:
			set.PCRs[index] = want
		}
	}
	if f.anySigned {
		for index := range 3 {
			delete(set.PCRs, index)
		}
	}
	return set, digest, nil
}

// mismatch is the error of a source with another register than the flags say.
func mismatch(register int, want, got attestation.PCR, known bool) error {
	found := "it has none"
	if known {
		found = "it has " + got.String()
	}
	flag := map[int]string{3: "--role-arn", 8: "--signing-certificate", 16: "--config"}[register]
	return fmt.Errorf("PCR%d, %s: by %s it is %s, and %s", register, policyfile.Meaning(register), flag, want, found)
}
