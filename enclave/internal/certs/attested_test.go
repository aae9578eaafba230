package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// TestAttestedHandshake is the whole way: software NSM, its owner goroutine, certificate, TLS, and a client that
// verifies against what it computes from the program.
func TestAttestedHandshake(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("program"), 0o700); err != nil {
		t.Fatal(err)
	}
	session, err := software.Open(software.Options{Dir: t.TempDir(), Executable: program})
	if err != nil {
		t.Fatal(err)
	}
	device := nsm.New(session)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- device.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	roots := []*x509.Certificate{session.Root()}
	digest := [48]byte{9}
	served, err := certs.NewAttested(device, certs.AttestedOptions{
		Validity: 24 * time.Hour, Rotation: time.Hour, ConfigDigest: digest, Build: "v1.2.3",
		Roots: roots, Log: zap.NewNop(), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := served.Issue(t.Context()); err != nil {
		t.Fatal(err)
	}

	measured, err := software.Measure(program)
	if err != nil {
		t.Fatal(err)
	}
	var peer atls.Peer
	client, err := atls.ClientConfig(atls.Options{
		Policy: attestation.Policy{
			Sets:         []attestation.Set{{PCRs: attestation.Measurements{0: measured.PCR0, 1: measured.PCR1, 2: measured.PCR2}}},
			ConfigDigest: &digest,
		},
		Roots: roots, OnVerified: func(p atls.Peer) { peer = p },
	})
	if err != nil {
		t.Fatal(err)
	}
	for offer, chosen := range map[string]string{"h2": "h2", "http/1.1": "http/1.1", "": ""} {
		client.NextProtos = nil
		if offer != "" {
			client.NextProtos = []string{offer}
		}
		state, err := handshake(t, served.ServerConfig(), client)
		if err != nil || state.NegotiatedProtocol != chosen {
			t.Errorf("handshake with %q: %v, protocol %q", offer, err, state.NegotiatedProtocol)
		}
	}
	if peer.Binding.Build != "v1.2.3" || peer.Binding.Purpose != atls.PurposeCertificate {
		t.Errorf("binding %+v", peer.Binding)
	}
	document, notAfter := served.Current()
	if len(document) == 0 || !notAfter.Equal(peer.Certificate.NotAfter) || notAfter.After(peer.Document.NotAfter.Add(-time.Minute)) {
		t.Errorf("certificate ends at %s, its document at %s", notAfter, peer.Document.NotAfter)
	}

	old := &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	if _, err := handshake(t, served.ServerConfig(), old); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2 client: %v", err)
	}
}

func TestAttestedRefusesBadOptions(t *testing.T) {
	h := newHypervisor(t, time.Now().Add(time.Hour))
	for _, spoil := range []func(*certs.AttestedOptions){
		func(o *certs.AttestedOptions) { o.Validity = 0 },
		func(o *certs.AttestedOptions) { o.Rotation = -time.Second },
	} {
		o := options(h)
		spoil(&o)
		if _, err := certs.NewAttested(h, o); err == nil || !strings.Contains(err.Error(), "must be positive") {
			t.Errorf("NewAttested = %v", err)
		}
	}
	o := options(h)
	o.Build = strings.Repeat("x", 600)
	a, err := certs.NewAttested(h, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Issue(t.Context()); err == nil || !strings.Contains(err.Error(), "bind TLS key: binding: build of 600 bytes") {
		t.Errorf("Issue with a long build = %v", err)
	}
	if _, err := certs.NewAttested(h, o); err == nil || !strings.Contains(err.Error(), "register certificate metrics") {
		t.Errorf("second registration = %v", err)
	}
}

func TestWrongClockGetsNoCertificate(t *testing.T) {
	h := newHypervisor(t, time.Now().Add(3*time.Hour))
	o := options(h)
	o.Now = func() time.Time { return time.Now().Add(3 * time.Second) }
	a, err := certs.NewAttested(h, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := errors.AsType[*nsm.ClockError](a.Issue(t.Context())); !ok {
		t.Error("a clock that is 3 s off got a certificate")
	}
	if _, err := a.GetCertificate(nil); !errors.Is(err, certs.ErrNoCertificate) {
		t.Errorf("GetCertificate = %v", err)
	}
}

// TestClockGoesWrong: the certificate of before is served on, but the replica says at once that it should get no traffic.
func TestClockGoesWrong(t *testing.T) {
	h := newHypervisor(t, time.Now().Add(3*time.Hour))
	o := options(h)
	var ahead time.Duration
	o.Now = func() time.Time { return time.Now().Add(ahead) }
	a, err := certs.NewAttested(h, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Issue(t.Context()); err != nil || a.Healthy() != nil {
		t.Fatalf("Issue = %v, health %v", err, a.Healthy())
	}
	ahead = 3 * time.Second
	if err := a.Issue(t.Context()); err == nil {
		t.Error("a clock that is 3 s off got a certificate")
	}
	if _, ok := errors.AsType[*nsm.ClockError](a.Healthy()); !ok {
		t.Errorf("health = %v, want that the clock is wrong", a.Healthy())
	}
	if _, err := a.GetCertificate(nil); err != nil {
		t.Errorf("GetCertificate = %v, want the one of before", err)
	}
	ahead = 0
	if err := a.Issue(t.Context()); err != nil || a.Healthy() != nil {
		t.Errorf("with the clock right again: Issue = %v, health %v", err, a.Healthy())
	}
}

// TestLeavingIsNoFailure: a caller that ends during an attempt says nothing about the device.
func TestLeavingIsNoFailure(t *testing.T) {
	w := newHouse(t, newHypervisor(t, time.Now().Add(3*time.Hour)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Issue(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Issue = %v", err)
	}
	if n := w.metric("containment_tls_rotation_failures_total"); n != 0 || w.logs.Len() != 0 {
		t.Errorf("%v failures, %d log lines", n, w.logs.Len())
	}
}

func TestLogAndMetricsOfACertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHouse(t, newHypervisor(t, time.Now().Add(3*time.Hour)))
		if err := w.Issue(t.Context()); err != nil {
			t.Fatal(err)
		}
		lines := w.logs.FilterMessage("attestation certificate issued").All()
		if len(lines) != 1 {
			t.Fatalf("%d log lines", len(lines))
		}
		got := lines[0].ContextMap()
		delete(got, "attestation_spki_sha256")
		zeros := strings.Repeat("0", 94)
		want := map[string]any{
			"attestation_module_id": "i-1-enc2", "attestation_clock_offset": time.Duration(0),
			"attestation_pcr0": "01" + zeros, "attestation_pcr1": "02" + zeros, "attestation_pcr2": "03" + zeros, "attestation_pcr16": "04" + zeros,
			"attestation_timestamp": time.Now().UTC(), "attestation_not_after": time.Now().Add(3 * time.Hour).UTC(),
			"attestation_certificate_not_after": time.Now().Add(3*time.Hour - time.Minute).UTC(),
		}
		for name, value := range got {
			if at, ok := value.(time.Time); ok {
				got[name] = at.UTC()
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		<-time.After(10 * time.Second)
		for name, want := range map[string]float64{
			"containment_attestation_age_seconds":                  10,
			"containment_attestation_expiry_timestamp_seconds":     float64(time.Now().Add(3*time.Hour - 10*time.Second).Unix()),
			"containment_attestation_clock_offset_seconds":         0,
			"containment_tls_certificate_expiry_timestamp_seconds": float64(time.Now().Add(3*time.Hour - 70*time.Second).Unix()),
		} {
			if got := w.metric(name); got != want {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
	})
}
