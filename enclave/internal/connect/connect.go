// Package connect lets clients that cannot verify an attestation document reach one signer that shows one.
package connect

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
)

// probeDrain is how long probes and scrapes may take once the proxy ends.
const probeDrain = time.Second

// Options are a proxy's. Those without "may be" are required.
type Options struct {
	Signer *Signer
	// Transport takes requests to the signer, and to nobody whom it has not verified. It stays the caller's, who closes it after Run.
	Transport http.RoundTripper
	// Token is added to requests that carry no Authorization; it may be the zero Token, which adds nothing.
	Token Token
	// Listener takes clients, in clear unless TLS is set, which may be nil. Run closes it.
	Listener net.Listener
	TLS      *tls.Config
	// Health takes probes and scrapes, which Metrics answers, always in clear; both may be nil. Run closes it.
	Health  net.Listener
	Metrics http.Handler
	// Requests is how many requests other than GET may be under way at once; more are answered 503. [api.DefaultRequests] is a good number.
	Requests int
	Drain    time.Duration // for requests that are under way when Run's context ends
	Log      *zap.Logger
	Registry prometheus.Registerer
}

// Proxy takes requests of clients to a signer and its answers back, as they are.
type Proxy struct {
	prober  *prober
	servers []*api.Server
}

// New makes a proxy.
func New(o Options) (*Proxy, error) {
	limits, err := api.NewLimits(o.Requests, o.Registry)
	if err != nil {
		return nil, err
	}
	transport := &reporting{RoundTripper: o.Transport, signer: o.Signer}
	p := &Proxy{prober: &prober{signer: o.Signer, transport: transport}}
	handler := newForwarder(o.Signer, transport, o.Token, o.Log).handler()
	if isLoopback(o.Listener.Addr()) {
		handler = localOnly(handler)
	}
	if err := p.serve("clients", o.Listener, handler, o.TLS, o.Drain, limits, o.Log); err != nil {
		return nil, err
	}
	if o.Health == nil {
		return p, nil
	}
	mux := http.NewServeMux()
	o.Signer.register(mux)
	if o.Metrics != nil {
		mux.Handle("GET /metrics", o.Metrics)
	}
	return p, p.serve("health", o.Health, api.Routes(mux), nil, probeDrain, limits, o.Log)
}

func (p *Proxy) serve(name string, l net.Listener, h http.Handler, secured *tls.Config, drain time.Duration, limits *api.Limits, log *zap.Logger) error {
	s, err := api.NewServer(name, l, h, secured, drain, limits, log)
	if err == nil {
		p.servers = append(p.servers, s)
	}
	return err
}

// Run serves until ctx ends, then lets requests under way finish, for the drain time at most. It returns when all its goroutines have
// ended; the error is nil after an orderly end.
func (p *Proxy) Run(ctx context.Context) error {
	group, running := errgroup.WithContext(ctx)
	for _, s := range p.servers {
		group.Go(func() error { return s.Run(running) })
	}
	group.Go(func() error {
		p.prober.run(running)
		return nil
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

// isLoopback tells whether only this machine can reach an address.
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
