package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	loading "github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem/progress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/noop"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	files "github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
)

func newServerCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the signer",
		Long: `Run the signer.

The configuration is the YAML file, overridden by CONTAINMENT_<SECTION>__<KEY> variables, overridden by flags. With
tee.platform nitro or simulated the file says only where the signer runs: the configuration itself comes from the
parent, over vsock, and everything that this process was given is ignored.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(config.Sources{Path: path, Environ: os.Environ(), Flags: cmd.Flags()})
			if err != nil {
				return usageError{err}
			}
			o := app.Options{Platform: platform(cfg), Config: cfg, Stdout: cmd.OutOrStdout()}
			if bar := loading.NewBar(cmd.OutOrStdout(), cmd.ErrOrStderr()); bar != nil {
				o.Stdout, o.Bar = bar, bar
			}
			return app.Run(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "YAML configuration file")
	config.RegisterFlags(cmd.Flags())
	return cmd
}

// backends are the stores of a process that is in no enclave: those of one, and those of one machine.
func backends(find app.Credentials) app.Backends {
	b := app.Remote(find)
	b.Slashing["sqlite"] = func(ctx context.Context, c config.AntiSlashing, _ egress.DialFunc) (slashing.Store, error) {
		return sqlite.Open(ctx, c.SQLite.Path)
	}
	b.Slashing["noop"] = func(context.Context, config.AntiSlashing, egress.DialFunc) (slashing.Store, error) {
		return noop.Open(), nil
	}
	b.State["sqlite"] = func(ctx context.Context, c config.SignerState, _ egress.DialFunc) (store.State, error) {
		return files.OpenState(ctx, c.Path)
	}
	b.Keys["sqlite"] = func(ctx context.Context, c *config.Config, _ egress.DialFunc) (store.Keys, error) {
		return files.OpenKeys(ctx, c.SignerState.Path)
	}
	return b
}

// platform composes what the configuration asks for.
func platform(cfg *config.Config) app.Platform {
	switch cfg.TEE.Platform {
	case "nitro":
		return app.Nitro()
	case "simulated":
		return app.Platform{Name: "simulated", TEE: &app.TEE{
			Network:  unixvsock.Dir(cfg.TEE.Simulated.SocketDir),
			Backends: backends,
			OpenNSM:  func() (nsm.Session, []*x509.Certificate, error) { return openSoftware(cfg.TEE) },
		}}
	}
	return app.Platform{Name: "none", Direct: egress.Direct(), Backends: backends(awsCredentials)}
}

// openSoftware opens the software NSM, which measures this very binary.
func openSoftware(c config.TEE) (nsm.Session, []*x509.Certificate, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("measure this binary: %w", err)
	}
	s, err := software.Open(software.Options{Dir: c.Simulated.StateDir, Executable: self, RoleARN: c.RoleARN})
	if err != nil {
		return nil, nil, err
	}
	return s, []*x509.Certificate{s.Root()}, nil
}
