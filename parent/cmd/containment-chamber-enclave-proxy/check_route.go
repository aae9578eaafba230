package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/forward"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// checkRoute runs the route's own listener on a network in memory, and comes in as the enclave would: what holds for the parent's
// connections, which addresses are tried in what order and which are forbidden, holds here.
func checkRoute(ctx context.Context, cfg *config.Config, r wire.Route, lookup resolve.LookupFunc) finding {
	f := finding{Name: r.Name, Target: net.JoinHostPort(r.Host, strconv.Itoa(int(r.Port))), Addresses: []string{}, Result: resultOK}
	if ip, err := netip.ParseAddr(r.Host); err == nil {
		f.Addresses = []string{ip.String()} // for which nobody is asked
	}
	network := new(memvsock.Network)
	registry := prometheus.NewRegistry()
	acceptors := accept.NewMetrics(registry)
	said := complaint{Core: zapcore.NewNopCore()}
	own := egressConfig(network, cfg)
	own.Limits.HalfOpenTimeout = time.Second // a server of a plain route need not answer the end of what it was never sent
	own.Lookup = func(ctx context.Context, host string) (resolve.Answer, error) {
		answer, err := lookup(ctx, host)
		f.Addresses = make([]string, len(answer.Addresses))
		for i, a := range answer.Addresses {
			f.Addresses[i] = a.String()
		}
		return answer, err
	}
	route := egress.New(own, r, zap.New(&said), egress.Metrics{Forward: forward.NewMetrics(registry, acceptors), Names: resolve.NewMetrics(registry)})
	if err := route.Bind(); err != nil {
		return f.failed("other", err)
	}
	ctx, stop := context.WithTimeout(ctx, 2*cfg.Egress.ConnectTimeout) // to connect, and for the handshake
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { _ = route.Run(ctx, ctx) })
	began := time.Now()
	detail, err := visit(ctx, network, r)
	f.Seconds = time.Since(began).Seconds()
	stop()
	running.Wait()

	seconds, reason := outcome(registry)
	if reason != "" {
		return f.failed(reason, cmp.Or(said.err, err, errors.New("no connection in time")))
	}
	f.Seconds, f.Detail = seconds, detail
	if err != nil {
		return f.failed("no_tls", err)
	}
	return f
}

func (f finding) failed(result string, err error) finding {
	f.Result, f.Detail = result, err.Error()
	return f
}

// visit connects to the route; on one of TLS it makes a handshake. The error is that of a handshake in which no certificate came.
func visit(ctx context.Context, network vsock.Network, r wire.Route) (detail string, err error) {
	c, err := network.Dial(ctx, vsock.CIDParent, r.VsockPort)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	unhook := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer unhook()
	if r.Plain {
		_ = c.CloseWrite()
		_, _ = c.Read(make([]byte, 1)) // until the parent or the target ends it, or speaks
		return "plain", nil
	}
	var shown tls.ConnectionState
	client := tls.Client(c, &tls.Config{
		ServerName:         r.Host,
		InsecureSkipVerify: true, //nolint:gosec // the certificate is told to people; nothing is sent
		VerifyConnection:   func(s tls.ConnectionState) error { shown = s; return nil },
	})
	err = client.HandshakeContext(ctx)
	if len(shown.PeerCertificates) > 0 { // a server that asks for a certificate of ours ends it here
		return describe(shown.PeerCertificates, r.Host), nil
	}
	switch {
	case err != nil && ctx.Err() != nil: // which closed the connection, too
		err = context.Cause(ctx)
	case errors.Is(err, io.EOF):
		err = errors.New("closed in the TLS handshake")
	}
	return "", err
}

// describe tells of a certificate whether this host would accept it. The enclave judges by its own authorities.
func describe(chain []*x509.Certificate, host string) string {
	leaf, between := chain[0], x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	said := fmt.Sprintf("certificate of %q until %s", leaf.Subject.String(), leaf.NotAfter.UTC().Format(time.DateOnly))
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Intermediates: between}); err != nil {
		return said + ", not verified by this host: " + err.Error()
	}
	return said + ", verified by this host"
}

// outcome is what a registry's route counted of its one connection: how long connecting took, or the reason why it was not made.
func outcome(registry prometheus.Gatherer) (seconds float64, reason string) {
	families, _ := registry.Gather() // of metrics that were just registered: none fails
	for _, family := range families {
		for _, m := range family.GetMetric() {
			switch family.GetName() {
			case "containment_parent_dial_seconds":
				if m.GetHistogram().GetSampleCount() > 0 {
					return m.GetHistogram().GetSampleSum(), ""
				}
			case "containment_parent_dial_failures_total", "containment_parent_clients_refused_total":
				for _, label := range m.GetLabel() {
					if label.GetName() == "reason" && m.GetCounter().GetValue() > 0 {
						reason = label.GetValue()
					}
				}
			}
		}
	}
	if reason == "" {
		reason = "timeout" // it was still on its way
	}
	return 0, reason
}

// complaint is a logger's core that keeps the error of the last failure.
type complaint struct {
	zapcore.Core            // does nothing
	mu           sync.Mutex // held while err is written; read after the last line
	err          error
}

// Enabled implements zapcore.Core.
func (*complaint) Enabled(level zapcore.Level) bool { return level >= zapcore.WarnLevel }

// With implements zapcore.Core.
func (c *complaint) With([]zapcore.Field) zapcore.Core { return c }

// Check implements zapcore.Core.
func (c *complaint) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c *complaint) Write(_ zapcore.Entry, fields []zapcore.Field) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok {
			c.err = err
		}
	}
	return nil
}
