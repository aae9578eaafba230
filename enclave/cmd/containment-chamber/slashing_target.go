package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

// targetFlags are how a command is told where it works.
type targetFlags struct {
	load       func() (*config.Config, error)
	configured []string // the flags of the configuration
	url        *string
	trust      *attestedFlags
	token      tokenFlags
}

// target is where a command works: a store, or a running signer.
type target struct {
	config *config.Config // nil with a signer
	client *admin.Client  // nil with a store
	end    func()         // of the client's connections
}

// newTargetFlags gives cmd those of the configuration, and those of a signer. Its own flags come later.
func newTargetFlags(cmd *cobra.Command) *targetFlags {
	t := &targetFlags{load: loader(cmd)}
	cmd.Flags().VisitAll(func(f *pflag.Flag) { t.configured = append(t.configured, f.Name) })
	t.url = cmd.Flags().String("signer-url", "", "`URL` of a running signer to work through, in place of -c")
	t.trust, t.token = newAttestedFlags(cmd.Flags()), newTokenFlags(cmd)
	return t
}

// find says on standard error where the command works, before it does anything there.
func (f *targetFlags) find(cmd *cobra.Command) (target, error) {
	if !cmd.Flags().Changed("signer-url") {
		given := f.trust.given()
		if cmd.Flags().Changed(flagAuthToken) {
			given = append(given, "--"+flagAuthToken)
		}
		if len(given) > 0 {
			return target{}, usageError{fmt.Errorf("%s goes with --signer-url", given[0])}
		}
		cfg, err := f.load()
		if err != nil {
			return target{}, err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "store:", storeName(cfg.AntiSlashing))
		return target{config: cfg}, nil
	}
	for _, name := range f.configured {
		if cmd.Flags().Changed(name) {
			return target{}, usageError{fmt.Errorf("--signer-url goes without --%s: the signer has its own configuration", name)}
		}
	}
	client, end, err := dialSigner(cmd, *f.url, f.trust, f.token)
	return target{client: client, end: end}, err
}

// storeName is which store a configuration names, also to one who reads it in another directory.
func storeName(c config.AntiSlashing) string {
	name := c.Backend
	switch c.Backend {
	case "sqlite":
		path, err := filepath.Abs(c.SQLite.Path)
		if err != nil { // there is no directory any more that it would be below
			path = c.SQLite.Path
		}
		name += " " + path
	case "dynamodb":
		name += " " + c.DynamoDB.Table
	case "postgres":
		if at, err := pgurl.Parse(c.URL); err == nil { // and else opening it says what is wrong
			name += " " + at.String()
		}
	}
	return name
}

// use does f to what is there: a store must exist, and its schema stays as it is.
func (t target) use(cmd *cobra.Command, f func(operations) error) error {
	if t.client != nil {
		defer t.end()
		return f(t.client)
	}
	return withStore(cmd.Context(), t.config, false, func(a *admin.Admin) error { return f(a) })
}
