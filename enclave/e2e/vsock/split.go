package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// splitChecks run the demonstration, the same as make demo's, over parent and signer whose platform simulated is over AF_VSOCK.
func (g guest) splitChecks() []check {
	return []check{{"the whole split: every step of make demo, over AF_VSOCK alone, and another parent refused", g.split}}
}

func (g guest) split(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "split")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	demo, err := rig.Start(rig.Command{Name: "demonstration", Binary: filepath.Join(g.over(), "demo"), Args: []string{"--dir", dir, "--stay"}})
	if err != nil {
		return err
	}
	err = awaitLine(ctx, demo, "It stays up")
	if err == nil {
		err = errors.Join(onVsockAlone(ctx, filepath.Join(dir, "vsock")), g.secondSplit(ctx, dir))
	}
	err = errors.Join(err, demo.Terminate())
	if err == nil {
		err = awaitLine(ctx, demo, "signer and parent stopped with exit code 0")
	}
	comment(g.out, strings.Join(demo.Lines(), "\n"))
	return err
}

// onVsockAlone looks at a running split: its directory holds no socket, and the enclave's own listener answers on its vsock port.
func onVsockAlone(ctx context.Context, sockets string) error {
	entries, err := os.ReadDir(sockets)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s holds %s: this split is over unix sockets", sockets, entries[0].Name())
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, wire.PortHealth) }}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://enclave/readyz", nil)
	if err != nil {
		return err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask the enclave over vsock port %d: %w", wire.PortHealth, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the enclave over vsock port %d: %s: %.200s, %s", wire.PortHealth, res.Status, body, told(err))
	}
	return nil
}

// secondSplit starts the parent as it is shipped beside the split's own.
func (g guest) secondSplit(ctx context.Context, dir string) error {
	config := filepath.Join(dir, "nitro.yaml")
	if err := os.WriteFile(config, []byte(nitro), 0o600); err != nil {
		return err
	}
	return fails(ctx, g.shipped(proxy), []string{"run", "-c", config}, proxy+": …address already in use")
}
