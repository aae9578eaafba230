package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// meetLimit bounds a look at a signer whom nobody has asked for anything yet.
const meetLimit = 30 * time.Second

// meet shows what the signer is and remembers it, unless something is remembered of it.
func (t *signerTrust) meet(ctx context.Context) error {
	trust := t.attested.Trust
	if _, err := trust.Store.Lookup(trust.Name); !errors.Is(err, atls.ErrNotRemembered) {
		return err
	}
	peer, err := t.observe(ctx)
	if err != nil {
		return err
	}
	out := t.cmd.ErrOrStderr()
	fmt.Fprintf(out, "%s is met for the first time. It is\n", trust.Name)
	showRegisters(out, peer)
	if err := makeDirectory(trust.Store); err != nil {
		return err
	}
	if err := trust.Store.Remember(trust.Name, peer); err != nil {
		return err
	}
	fmt.Fprintf(out, "and held to that from now on, in %s. Nothing vouches for it this time: compare it with the release.\n", trust.Store.Path)
	return nil
}

// observe looks at the signer without regard to what is remembered of it. A policy that names sets holds.
func (t *signerTrust) observe(ctx context.Context) (atls.Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, meetLimit)
	defer cancel()
	o := *t.attested
	o.Trust = nil
	return atls.Observe(ctx, trustName(t.base), o, atls.DialFunc(egress.Direct()))
}

// showRegisters prints the registers that tell one enclave from another, in full.
func showRegisters(out io.Writer, p atls.Peer) {
	for _, index := range attestation.Registers() {
		value, ok := p.Document.PCRs[index]
		text := value.String()
		switch {
		case !ok:
			text = "absent"
		case value.IsZero():
			text += " (zero)"
		}
		fmt.Fprintf(out, "  %-6s %s  %s\n", fmt.Sprintf("PCR%d", index), text, policyfile.Meaning(index))
	}
	fmt.Fprintf(out, "  %-6s %q, as it says itself\n", "build", p.Binding.Build)
}

// makeDirectory makes the directory of a file that is to be written for the first time. Nobody else may look into it.
func makeDirectory(s *atls.TrustStore) error {
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o700); err != nil {
		return fmt.Errorf("--%s: %w", flagTrustFile, err)
	}
	return nil
}
