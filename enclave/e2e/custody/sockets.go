package main

import (
	"context"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// Directories of the sockets that stand for vsock ports, as each side sees them.
const (
	enclaveSide = "enclave"
	parentSide  = "parent"
)

// Vsock ports of the routes.
const (
	vsockKMS uint32 = wire.PortEgressFirst + iota
	vsockTables
	vsockDatabase
	vsockSTS
)

// linkSockets shows each side the sockets of the other, but for STS: its host is AWS's, at port 443, where on this machine nobody is. The
// stand-in answers at that route's vsock port itself, in the place of the parent's last hop; TLS ends in the enclave as ever.
func (w *world) linkSockets(context.Context) error {
	for _, l := range []struct {
		of, to string
		ports  []uint32
	}{
		{parentSide, enclaveSide, []uint32{wire.PortLogs, wire.PortBoot, vsockKMS, vsockTables, vsockDatabase}},
		{enclaveSide, parentSide, []uint32{wire.PortAPI, wire.PortHealth, wire.PortMetrics}},
	} {
		for _, port := range l.ports {
			name := vsock.SocketName(port)
			if err := link(w.path(l.of, name), w.path(l.to, name)); err != nil {
				return err
			}
		}
	}
	return w.serveSTS()
}

func (w *world) serveSTS() error {
	secured, err := w.aws.TLSConfig()
	if err != nil {
		return err
	}
	l, err := unixvsock.Dir(w.path(enclaveSide)).Listen(vsockSTS)
	if err != nil {
		return err
	}
	w.cleanup = append(w.cleanup, rig.ServeTLS(l, w.aws, secured))
	return nil
}
