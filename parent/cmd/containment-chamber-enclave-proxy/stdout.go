package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/logsink"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
)

func newStdoutCommand() *cobra.Command {
	var a alone
	var listen string
	var perSecond int
	cmd := &cobra.Command{
		Use:   "vsock-stdout [--listen ADDRESS]",
		Short: "Write the enclave's log lines to standard output",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			address, err := vsock.ParseAddr(listen)
			if err != nil {
				return usageError{fmt.Errorf("--listen: %w", err)}
			}
			if perSecond < 0 {
				return usageError{fmt.Errorf("--max-lines-per-second %d: want 0 or more", perSecond)}
			}
			return a.run(cmd.Context(), cmd.OutOrStdout(), func(b *base) part {
				cfg := logsink.Config{Network: unixvsock.For(address), Port: address.Port, CID: a.cid, MaxLinesPerSecond: perSecond}
				return logsink.New(cfg, b.out, b.log.Named("logsink"), b.accept, b.registry)
			})
		},
	}
	a.register(cmd)
	a.registerCID(cmd)
	cmd.Flags().StringVar(&listen, "listen", "vsock://3:7000", "vsock://CID:PORT or unix:///DIR/PORT.sock; every CID of this machine is bound")
	cmd.Flags().IntVar(&perSecond, "max-lines-per-second", 10_000, "lines above it are dropped and counted; 0 for no limit")
	return cmd
}
