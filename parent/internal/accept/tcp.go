package accept

import (
	"context"
	"net"
	"net/netip"
)

// ListenTCP listens on HOST:PORT. An IPv4 address is bound as such: package net would bind 0.0.0.0 on IPv6 too,
// where the operator's IPv4 firewall does not look.
func ListenTCP(address string) (net.Listener, error) {
	network := "tcp"
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Is4() {
		network = "tcp4"
	}
	return new(net.ListenConfig).Listen(context.Background(), network, address)
}
