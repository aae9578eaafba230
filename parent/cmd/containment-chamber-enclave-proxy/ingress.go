package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/ingress"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
)

func newIngressCommand() *cobra.Command {
	var a alone
	var listen, enclave string
	var introduce bool
	cmd := &cobra.Command{
		Use:   "ingress --listen HOST:PORT --enclave ADDRESS",
		Short: "Let clients on TCP reach one port of the enclave",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, _, err := splitHostPort(listen); err != nil {
				return usageError{fmt.Errorf("--listen: %w", err)}
			}
			address, err := vsock.ParseAddr(enclave)
			if err != nil {
				return usageError{fmt.Errorf("--enclave: %w", err)}
			}
			if err := a.check(); err != nil {
				return usageError{err}
			}
			outliveOutput()
			entrance := ingress.Entrance{Name: listen, Listen: listen, Port: address.Port, ProxyProtocol: introduce}
			return a.run(cmd.Context(), cmd.OutOrStdout(), func(b *base) part {
				return ingress.New(entrance, unixvsock.For(address), address.CID, a.limits, b.log.Named("ingress"), b.forward)
			})
		},
	}
	a.register(cmd)
	a.registerLimits(cmd)
	cmd.Flags().StringVar(&listen, "listen", "", "TCP address, `HOST:PORT`")
	cmd.Flags().IntVar(&a.limits.MaxPerSource, "max-connections-per-source", 0, "connections of one client address; 0 for no limit")
	cmd.Flags().BoolVar(&introduce, "proxy-protocol", false, "tell the enclave each client's address, PROXY protocol v2")
	cmd.Flags().StringVar(&enclave, "enclave", "", "vsock://CID:PORT or unix:///DIR/PORT.sock")
	return cmd
}
