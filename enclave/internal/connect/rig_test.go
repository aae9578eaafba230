package connect_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/wellknown"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// image is what an honest signer measures.
func image() map[int]attestation.PCR {
	return map[int]attestation.PCR{0: {1}, 1: {2}, 2: {3}, 16: {4}}
}

// hypervisor signs documents of one enclave.
type hypervisor struct {
	root *issuer.Root

	mu     sync.Mutex // held while issuer and pcrs are used
	issuer *issuer.Issuer
	pcrs   map[int]attestation.PCR
}

func newHypervisor(t testing.TB, root *issuer.Root, pcrs map[int]attestation.PCR) *hypervisor {
	t.Helper()
	var err error
	if root == nil {
		if root, err = issuer.NewRoot(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	h := &hypervisor{root: root, pcrs: pcrs}
	if h.issuer, err = issuer.NewIssuer(root, "i-0123456789abcdef0-enc0123456789abcdef", "local-dev-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hypervisor) Attest(_ context.Context, a nsm.Attestation) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.issuer.Issue(issuer.Payload{PCRs: h.pcrs, UserData: a.UserData, Nonce: a.Nonce, PublicKey: a.PublicKey}, time.Now())
}

// network is where signer and proxy listen: TCP, or memory in virtual time.
type network interface {
	listen(t testing.TB) net.Listener
	dial(ctx context.Context, network, address string) (net.Conn, error)
}

type tcp struct{}

func (tcp) listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (tcp) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

// memory is one listener in memory.
type memory struct{ net memvsock.Network }

func (m *memory) listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := m.net.Listen(9443)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return m.net.Dial(ctx, 0, 9443)
}

// signer is an API server with attested certificates: what an enclave serves, with the handler given behind it.
type signer struct {
	at       network
	handler  http.Handler
	listener net.Listener // made by start if nil
	device   interface {
		Attest(ctx context.Context, a nsm.Attestation) ([]byte, error)
	}
	root               *x509.Certificate
	validity, rotation time.Duration // a day and an hour if zero
	h1                 bool          // speaks HTTP/1.1 alone

	attested *certs.Attested
	registry *prometheus.Registry
	stop     func() // ends it, as a kill does; the test's end does too
}

// enclave is a signer that measures as given, under a root.
func enclave(t testing.TB, h *hypervisor, handler http.HandlerFunc) *signer {
	t.Helper()
	return &signer{at: tcp{}, handler: handler, device: h, root: h.root.Certificate}
}

func (s *signer) start(t testing.TB) *signer {
	t.Helper()
	if s.listener == nil {
		s.listener = s.at.listen(t)
	}
	if s.validity == 0 {
		s.validity, s.rotation = 24*time.Hour, time.Hour
	}
	s.registry = prometheus.NewRegistry()
	var err error
	s.attested, err = certs.NewAttested(s.device, certs.AttestedOptions{
		Validity: s.validity, Rotation: s.rotation, ConfigDigest: [48]byte{9}, Build: "1.2.3",
		Roots: []*x509.Certificate{s.root}, Log: zap.NewNop(), Metrics: s.registry,
	})
	check(t, err)
	check(t, s.attested.Issue(t.Context()))
	proofs, err := wellknown.New(wellknown.Options{
		Attest: func(ctx context.Context, userData, nonce []byte) ([]byte, error) {
			return s.device.Attest(ctx, nsm.Attestation{UserData: userData, Nonce: nonce})
		},
		Current: s.attested.Current, ConfigDigest: [48]byte{9}, Build: "1.2.3", Registry: s.registry,
	})
	check(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /upcheck", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	proofs.Register(mux)
	mux.Handle("/", s.handler)
	limits, err := api.NewLimits(api.DefaultRequests, s.registry)
	check(t, err)
	config := s.attested.ServerConfig()
	if s.h1 {
		config.NextProtos = []string{"http/1.1"}
	}
	server, err := api.NewServer("tls", s.listener, mux, config, 0, limits, zap.NewNop())
	check(t, err)
	s.stop = background(t, s.attested.Run, server.Run)
	return s
}

// options accept the honest image under the signer's root.
func (s *signer) options() atls.Options {
	return atls.Options{
		Policy: attestation.Policy{Sets: []attestation.Set{{Label: "release", PCRs: image()}}},
		Roots:  []*x509.Certificate{s.root},
	}
}

// background runs functions until the returned one is called, or the test ends. A drain that had to cut requests is no failure.
func background(t testing.TB, runs ...func(context.Context) error) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, run := range runs {
		all.Go(func() {
			if err := run(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	stop := sync.OnceFunc(func() { cancel(); all.Wait() })
	t.Cleanup(stop)
	return stop
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const signPath = "/api/v1/eth2/sign/0xabcd"

// counting counts what a signer is asked, and answers with what it got.
type counting struct {
	n atomic.Int64
	h http.HandlerFunc // nil echoes the body
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.n.Add(1)
	if c.h != nil {
		c.h(w, r)
		return
	}
	echo(w, r)
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

// rawTLS is a connection to an address that verifies nothing.
func rawTLS(ctx context.Context, at network, address string) (*tls.Conn, error) {
	nc, err := at.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}})
	return c, c.HandshakeContext(ctx)
}
