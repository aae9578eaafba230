package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// verified is what "attest verify" prints of a document that holds.
type verified struct {
	Verified    bool                    `json:"verified"` // true
	At          time.Time               `json:"at"`
	Root        string                  `json:"root"`       // AWS, or the file of another
	Set         *setDescription         `json:"policy_set"` // that matched; null without a policy
	NotAfter    time.Time               `json:"not_after"`  // of the document
	Certificate *certificateDescription `json:"certificate"`
	Document    documentDescription     `json:"document"`
}

type setDescription struct {
	File  string `json:"file"`
	Label string `json:"label"`
}

func (v verified) String() string {
	out := fmt.Sprintf("%-11s as of %s, under the root of %s\n", "verified", v.At.Format(time.RFC3339), v.Root)
	if v.Set != nil {
		out += fmt.Sprintf("%-11s %s, set %q\n", "policy", v.Set.File, v.Set.Label)
	}
	if v.Certificate != nil {
		out += fmt.Sprintf("%-11s its key is the one that the document speaks of\n", "certificate")
	}
	return out + fmt.Sprintf("%-11s %s\n", "ends", v.NotAfter.Format(time.RFC3339)) + v.Document.String()
}

// refusal is what "attest verify --json" prints of a document that does not hold.
type refusal struct {
	Verified bool   `json:"verified"` // false
	Error    string `json:"error"`
	// Differences are the registers that differ from the policy's closest set.
	Differences []registerDifference `json:"differences,omitempty"`
}

type registerDifference struct {
	Register string `json:"register"`
	Want     string `json:"want"`
	Got      string `json:"got"` // empty if the document does not hold it
}

// refuse is the error of a document that does not hold, which JSON tells too.
func refuse(cmd *cobra.Command, asJSON bool, err error) error {
	if errors.As(err, new(usageError)) {
		return err
	}
	if asJSON {
		out := refusal{Error: err.Error()}
		if policy, ok := errors.AsType[*attestation.PolicyError](err); ok && !policy.Debug {
			for _, d := range policy.Differences {
				difference := registerDifference{Register: fmt.Sprintf("PCR%d", d.Register), Want: d.Want.String()}
				if !d.Absent {
					difference.Got = d.Got.String()
				}
				out.Differences = append(out.Differences, difference)
			}
		}
		if err := printJSON(cmd.OutOrStdout(), out); err != nil {
			return err
		}
	}
	return refused(err)
}

// refused is what is said of a document that does not hold.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("refused: %w", err)
}

// evidenceFlags are how commands that look at documents by themselves are told what to accept.
type evidenceFlags struct {
	attestedFlags
}

func newEvidenceFlags(cmd *cobra.Command) *evidenceFlags {
	f := &evidenceFlags{attestedFlags{flags: cmd.Flags()}}
	f.addPolicy()
	f.addRoot()
	return f
}

// judge reads the files that the flags name. It judges as of now.
func (f *evidenceFlags) judge() (*judge, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	j := &judge{policyFile: f.policy, rootFile: f.root, at: time.Now()}
	if f.policy != "" {
		policy, err := policyfile.Read(f.policy)
		if err != nil {
			return nil, usageError{fmt.Errorf("--%s: %w", flagPolicy, err)}
		}
		j.policy = &policy
	}
	var err error
	j.roots, err = readRoot(f.root)
	return j, err
}
