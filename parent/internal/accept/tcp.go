package accept

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// keepAlive is after how long a silent peer is asked whether it is there, and how often: Go's default.
const keepAlive = 15 * time.Second

// ListenTCP listens on HOST:PORT. An IPv4 address is bound as such: package net would bind 0.0.0.0 on IPv6 too,
// where the operator's IPv4 firewall does not look.
func ListenTCP(address string) (net.Listener, error) {
	network := "tcp"
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Is4() {
		network = "tcp4"
	}
	return (&net.ListenConfig{KeepAlive: keepAlive}).Listen(context.Background(), network, address)
}
