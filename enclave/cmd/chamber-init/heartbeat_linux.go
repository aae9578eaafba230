package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Where the host waits for an enclave, and the byte that goes to and fro (aws-nitro-enclaves-sdk-bootstrap, init.c).
const (
	hostCID       = 3
	heartbeatPort = 9000
	heartbeatByte = 0xb7
)

// heartbeat tells the host that the enclave is up. A host that does not answer ends the enclave by itself.
func heartbeat() error {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	conn := os.NewFile(uintptr(fd), "vsock")
	defer func() { _ = conn.Close() }() // what it was for is done
	if err := unix.Connect(fd, &unix.SockaddrVM{CID: hostCID, Port: heartbeatPort}); err != nil {
		return fmt.Errorf("connect to CID %d, port %d: %w", hostCID, heartbeatPort, err)
	}
	return beat(conn)
}

// beat sends the byte, and must get it back.
func beat(conn io.ReadWriter) error {
	b := []byte{heartbeatByte}
	if _, err := conn.Write(b); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, b); err != nil {
		return err
	}
	if b[0] != heartbeatByte {
		return fmt.Errorf("the host answered 0x%02x, want 0x%02x", b[0], heartbeatByte)
	}
	return nil
}
