package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// nitro is a configuration for a parent beside a real enclave; every TCP port is free.
const nitro = `tee: {platform: nitro}
tls: {mode: atls, listen_port: 0}
server: {listen_port: 0}
metrics: {listen_address: 127.0.0.1, listen_port: 0}
parent: {health: {listen_port: 0}}
`

func writeNitro() (path string, remove func(), err error) {
	f, err := os.CreateTemp("", "nitro-*.yaml")
	if err != nil {
		return "", nil, err
	}
	_, err = io.WriteString(f, nitro)
	return f.Name(), func() { _ = os.Remove(f.Name()) }, errors.Join(err, f.Close())
}

func (g guest) bootStranger(ctx context.Context) error {
	config, remove, err := writeNitro()
	if err != nil {
		return err
	}
	defer remove()
	return g.parent(ctx, `"event":"started"`, []string{"run", "-c", config}, func(p *rig.Process) error {
		return turnedAway(ctx, p, wire.PortBoot)
	})
}

func (g guest) secondParent(ctx context.Context) error {
	config, remove, err := writeNitro()
	if err != nil {
		return err
	}
	defer remove()
	return g.parent(ctx, `"event":"started"`, []string{"run", "-c", config}, func(*rig.Process) error {
		return fails(ctx, g.shipped(proxy), []string{"run", "-c", config}, proxy+": …address already in use")
	})
}

// secondEnclave has a listener in the place of the other enclave.
func (g guest) secondEnclave(ctx context.Context) error {
	other, err := vsock.Kernel{}.Listen(wire.PortHealth)
	if err != nil {
		return err
	}
	defer func() { _ = other.Close() }()
	return fails(ctx, g.shipped("chamber-enclave"), nil, fmt.Sprintf("chamber-enclave: …vsock port %d…address already in use", wire.PortHealth))
}
