package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// newAttestTrust makes "attest trust", which works on the file of what was trusted on first use.
func newAttestTrust() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Show and change what is remembered of signers that were trusted on first use",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTrustList(), newTrustReplace(), newTrustForget())
	return cmd
}

func newTrustList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show what is remembered of each signer",
		Args:  usage(cobra.NoArgs),
	}
	f := &attestedFlags{flags: cmd.Flags()}
	f.addTrustFile()
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		store, err := f.store()
		if err != nil {
			return err
		}
		all, err := store.All()
		if err != nil {
			return err
		}
		records := []trustDescription{}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			records = append(records, describeTrust(name, all[name]))
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), records)
		}
		for _, r := range records {
			r.print(cmd.OutOrStdout())
		}
		return nil
	}
	return cmd
}

// trustDescription is what is remembered of a signer.
type trustDescription struct {
	Name      string            `json:"name"`
	FirstSeen time.Time         `json:"first_seen"`
	Build     string            `json:"build"`
	PCRs      map[string]string `json:"pcrs"`
}

func describeTrust(name string, r atls.TrustRecord) trustDescription {
	out := trustDescription{Name: name, FirstSeen: r.FirstSeen, Build: r.Build, PCRs: map[string]string{}}
	for index, value := range r.PCRs {
		out.PCRs[fmt.Sprintf("PCR%d", index)] = value.String()
	}
	return out
}

func (d trustDescription) print(out io.Writer) {
	fmt.Fprintf(out, "%s  first seen %s, build %q\n", d.Name, d.FirstSeen.Format(time.RFC3339), d.Build)
	for _, index := range attestation.Registers() {
		if value, ok := d.PCRs[fmt.Sprintf("PCR%d", index)]; ok {
			fmt.Fprintf(out, "  %-6s %s  %s\n", fmt.Sprintf("PCR%d", index), value, policyfile.Meaning(index))
		}
	}
}

func newTrustReplace() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replace URL",
		Short: "Remember what a signer is now, whatever was remembered of it before",
		Long: `Remember what a signer is now, whatever was remembered of it before; for after a new release was rolled out.

What it was and what it is are printed. Compare what it is with the release: nothing else vouches for it, unless
--policy does.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	f := &attestedFlags{flags: cmd.Flags()}
	f.addPolicy()
	f.addTrustFile()
	f.addRoot()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		base, err := parseSignerURL("URL", args[0])
		if err != nil {
			return err
		}
		if base.Scheme != "https" {
			return usageError{errors.New("URL: want https://host:port, where the signer shows its certificate")}
		}
		if err := f.check(); err != nil {
			return err
		}
		store, err := f.store()
		if err != nil {
			return err
		}
		return f.replace(cmd, &signerTrust{cmd: cmd, flags: f, base: base}, &atls.Trust{Store: store, Name: trustName(base)})
	}
	return cmd
}

func (f *attestedFlags) replace(cmd *cobra.Command, t *signerTrust, trust *atls.Trust) error {
	was, err := trust.Store.Lookup(trust.Name)
	known := err == nil
	if err != nil && !errors.Is(err, atls.ErrNotRemembered) { // a file that cannot be read is not replaced either
		return err
	}
	if t.attested, err = f.options(trust); err != nil {
		return err
	}
	peer, err := t.observe(cmd.Context())
	if err != nil {
		return err
	}
	if err := makeDirectory(trust.Store); err != nil {
		return err
	}
	if err := trust.Store.Replace(trust.Name, peer); err != nil {
		return err
	}
	is, err := trust.Store.Lookup(trust.Name)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch {
	case !known:
		fmt.Fprintf(out, "%s was not known. It is\n", trust.Name)
		showRegisters(out, peer)
	case maps.Equal(was.PCRs, is.PCRs):
		fmt.Fprintf(out, "%s is what it was\n", trust.Name)
	default:
		fmt.Fprintln(out, &atls.TrustError{Name: trust.Name, Was: was, Is: is})
	}
	fmt.Fprintf(out, "It is held to what it is now, in %s\n", trust.Store.Path)
	return nil
}

func newTrustForget() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forget NAME|URL",
		Short: "Forget what a signer was, so that it is refused until it is trusted anew",
		Args:  usage(cobra.ExactArgs(1)),
	}
	f := &attestedFlags{flags: cmd.Flags()}
	f.addTrustFile()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		switch {
		case strings.Contains(name, "://"):
			base, err := parseSignerURL("URL", name)
			if err != nil {
				return err
			}
			name = trustName(base)
		default:
			if _, _, err := net.SplitHostPort(name); err != nil {
				return usageError{fmt.Errorf("NAME: %.100q, want host:port", name)}
			}
		}
		store, err := f.store()
		if err != nil {
			return err
		}
		if _, err := store.Lookup(name); err != nil { // before a lock file is made where there is nothing to lock
			return fmt.Errorf("%s: %w", store.Path, err)
		}
		if err := store.Forget(name); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is forgotten\n", name)
		return nil
	}
	return cmd
}
