package rig

import (
	"errors"
	"fmt"
	"net"
)

// FreePorts finds n TCP ports of the loopback address that nobody listens on now.
func FreePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { err = errors.Join(err, l.Close()) }() // only now: no port is found twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
