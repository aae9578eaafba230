package rig

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Ports are taken from below those that Linux gives to outgoing connections (net.ipv4.ip_local_port_range): one of these could take the
// port of a process that is being started again.
const (
	firstPort = 10_000
	lastPort  = 32_767
)

//nolint:gochecknoglobals // no port is found twice by one process
var given struct {
	sync.Mutex
	ports map[int]bool
}

// FreePorts finds n TCP ports of the loopback address that nobody listens on now.
func FreePorts(n int) (ports []int, err error) {
	given.Lock()
	defer given.Unlock()
	if given.ports == nil {
		given.ports = map[int]bool{}
	}
	for len(ports) < n {
		port := firstPort + rand.IntN(lastPort-firstPort+1) //nolint:gosec // a port is no secret
		if given.ports[port] {
			continue
		}
		given.ports[port] = true
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err == nil {
			err = l.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		ports = append(ports, port)
	}
	return ports, nil
}
