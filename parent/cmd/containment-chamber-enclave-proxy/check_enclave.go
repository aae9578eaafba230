package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// enclavePaths are what the enclave is asked: whether it lives, and whether it signs.
var enclavePaths = []string{"/upcheck", "/readyz"} //nolint:gochecknoglobals // constant; Go has no constant lists

const (
	// enclaveTimeout bounds an answer of the enclave, which asks its stores for it.
	enclaveTimeout = 10 * time.Second
	// maxReason is how much of a refusal's text is told, in bytes.
	maxReason = 512
)

// checkEnclave asks the enclave at its health port.
func checkEnclave(ctx context.Context, cfg *config.Config, path string) finding {
	at := vsock.Addr{CID: cfg.EnclaveCID, Port: wire.PortHealth, Path: cfg.SocketDir}
	f := finding{Name: "enclave " + path, Target: at.String(), Addresses: []string{}, Result: resultOK}
	ctx, cancel := context.WithTimeout(ctx, enclaveTimeout)
	defer cancel()
	began := time.Now()
	status, body, err := askEnclave(ctx, cfg, path)
	f.Seconds = time.Since(began).Seconds()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return f.failed("timeout", err)
	case err != nil:
		return f.failed("unreachable", err)
	case status != http.StatusOK:
		return f.failed("not_ready", fmt.Errorf("%d %s", status, body))
	}
	return f
}

// askEnclave is one request on a connection of its own.
func askEnclave(ctx context.Context, cfg *config.Config, path string) (status int, body string, err error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, cfg.Ingress.ConnectTimeout)
		defer cancel()
		return vsockOf(cfg).Dial(ctx, cfg.EnclaveCID, wire.PortHealth)
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://enclave"+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxReason))
	return response.StatusCode, string(text), err
}
