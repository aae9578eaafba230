package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func newProxyCommand() *cobra.Command {
	var a alone
	var listen, connect string
	var plain, loopback bool
	cmd := &cobra.Command{
		Use:   "vsock-proxy --listen ADDRESS --connect HOST:PORT",
		Short: "Let the enclave reach one endpoint",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			address, err := vsock.ParseAddr(listen)
			if err != nil {
				return usageError{fmt.Errorf("--listen: %w", err)}
			}
			host, port, err := splitHostPort(connect)
			if err != nil {
				return usageError{fmt.Errorf("--connect: %w", err)}
			}
			if err := a.check(); err != nil {
				return usageError{err}
			}
			outliveOutput()
			route := wire.Route{Name: connect, Host: host, Port: port, VsockPort: address.Port, Plain: plain}
			return a.run(cmd.Context(), cmd.OutOrStdout(), func(b *base) part {
				cfg := egress.Config{Network: unixvsock.For(address), CID: a.cid, Limits: a.limits, AllowLoopback: loopback, Lookup: resolve.Lookup}
				return egress.New(cfg, route, b.log.Named("egress"), b.egress)
			})
		},
	}
	a.register(cmd)
	a.registerCID(cmd)
	a.registerLimits(cmd)
	cmd.Flags().StringVar(&listen, "listen", "", "vsock://CID:PORT or unix:///DIR/PORT.sock; every CID of this machine is bound")
	cmd.Flags().StringVar(&connect, "connect", "", "the endpoint, `HOST:PORT`")
	cmd.Flags().BoolVar(&plain, "plain", false, "connections do not begin with TLS: PostgreSQL, HTTP; else the ClientHello must name the host")
	cmd.Flags().BoolVar(&loopback, "allow-loopback", false, "the endpoint may be on this host")
	return cmd
}

// splitHostPort reads HOST:PORT, both of which must be there.
func splitHostPort(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return "", 0, fmt.Errorf("address %q: want HOST:PORT", address)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("address %q: port %q is not a number from 1 to 65535", address, text)
	}
	return host, uint16(n), nil
}
