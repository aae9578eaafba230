package certs_test

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// house is certificates over a hypervisor, as a test wants to look at them.
type house struct {
	*certs.Attested
	t        *testing.T
	h        *hypervisor
	registry *prometheus.Registry
	logs     *observer.ObservedLogs
}

func options(h *hypervisor) certs.AttestedOptions {
	return certs.AttestedOptions{
		Validity: 24 * time.Hour, Rotation: time.Hour, ConfigDigest: [48]byte{9}, Build: "v1.2.3",
		Roots: []*x509.Certificate{h.root}, Log: zap.NewNop(), Metrics: prometheus.NewRegistry(),
	}
}

func newHouse(t *testing.T, h *hypervisor) *house {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	o := options(h)
	o.Log = zap.New(core)
	a, err := certs.NewAttested(h, o)
	if err != nil {
		t.Fatal(err)
	}
	return &house{Attested: a, t: t, h: h, registry: o.Metrics.(*prometheus.Registry), logs: logs}
}

// run issues the first certificate and rotates until the test ends.
func (w *house) run() {
	w.t.Helper()
	if err := w.Issue(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}

func (w *house) metric(name string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	w.t.Fatalf("no metric %s", name)
	return 0
}

// connect lets a client verify the server now.
func (w *house) connect() error {
	w.t.Helper()
	client, err := atls.ClientConfig(atls.Options{Policy: w.h.policy(), Roots: []*x509.Certificate{w.h.root}})
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = handshake(w.t, w.ServerConfig(), client)
	return err
}
