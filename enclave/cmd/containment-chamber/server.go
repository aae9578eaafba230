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
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/noop"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
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
			return app.Run(cmd.Context(), app.Options{
				Platform: platform(cfg),
				Config:   cfg,
				Stdout:   cmd.OutOrStdout(),
			})
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "YAML configuration file")
	config.RegisterFlags(cmd.Flags())
	return cmd
}

// stores are those of a process that is in no enclave.
func stores() map[string]app.OpenStore { return storesWith(awsCredentials) }

func storesWith(find app.Credentials) map[string]app.OpenStore {
	return map[string]app.OpenStore{
		"postgres": app.Postgres(find),
		"dynamodb": app.DynamoDB(find),
		"sqlite": func(ctx context.Context, c config.AntiSlashing, _ egress.DialFunc) (slashing.Store, error) {
			return sqlite.Open(ctx, c.SQLite.Path)
		},
		"noop": func(context.Context, config.AntiSlashing, egress.DialFunc) (slashing.Store, error) {
			return noop.Open(), nil
		},
	}
}

// platform composes what the configuration asks for.
func platform(cfg *config.Config) app.Platform {
	switch cfg.TEE.Platform {
	case "nitro":
		return app.Nitro(func(find app.Credentials) map[string]app.OpenStore {
			return map[string]app.OpenStore{"postgres": app.Postgres(find), "dynamodb": app.DynamoDB(find)}
		})
	case "simulated":
		return app.Platform{Name: "simulated", TEE: &app.TEE{
			Network: unixvsock.Dir(cfg.TEE.Simulated.SocketDir),
			Stores:  storesWith,
			OpenNSM: func() (nsm.Session, []*x509.Certificate, error) { return openSoftware(cfg.TEE) },
		}}
	}
	return app.Platform{Name: "none", Direct: egress.Direct(), Stores: stores()}
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
