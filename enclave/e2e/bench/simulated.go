package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/wellknown"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/signing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/noop"
)

const (
	simulatedKeys    = 64              // that it signs with
	simulatedLimit   = 5 * time.Second // of what is still under way when it ends
	simulatedBuild   = "bench"
	listenAPI        = "api"
	signWriteTimeout = 5 * time.Second
)

// simulated is a signer with attested TLS, made of the product's rooms over a software security module, in a process of its own. It
// replaces its certificate more often than the product's configuration may ask for, or whenever it is told to; it signs what needs no
// record; and it has listeners that do nothing but handshakes.
type simulated struct {
	device   *nsm.Device
	attested *certs.Attested
	registry *prometheus.Registry
	group    *errgroup.Group // of everything that runs

	mu    sync.Mutex // held while state changes or is read
	state simulatedState
}

// simulatedState is what a simulated signer tells of itself.
type simulatedState struct {
	Addresses map[string]string // of its listeners, by name
	Authority []byte            // of the ordinary certificate, DER
	Pinned    []byte            // an ordinary certificate that is its own authority, DER
	Sizes     map[string]int    // of the certificates that are shown, in bytes, by listener
	Issued    []time.Time       // when each attested certificate was made, the first included
	Failures  int               // attested certificates that could not be made
}

// runSimulated is the whole process, which ends with ctx.
func runSimulated(ctx context.Context, args []string, stderr io.Writer) error {
	var dir, control string
	var validity, rotation time.Duration
	flags := flag.NewFlagSet(simulatedRole, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&dir, "dir", "", "directory of the development root")
	flags.StringVar(&control, "control", "", "address that it is told things at")
	flags.DurationVar(&validity, "validity", 0, "the most that a certificate lives")
	flags.DurationVar(&rotation, "rotation", 0, "when a certificate is replaced; 0 is when told to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	session, err := software.Open(software.Options{Dir: dir, Executable: self})
	if err != nil {
		return err
	}
	s := &simulated{
		device: nsm.New(session), registry: prometheus.NewRegistry(),
		state: simulatedState{Addresses: map[string]string{}, Sizes: map[string]int{}},
	}
	s.attested, err = certs.NewAttested(s, certs.AttestedOptions{
		Validity: validity, Rotation: max(rotation, time.Second), Build: simulatedBuild,
		Roots: []*x509.Certificate{session.Root()}, Log: zap.NewNop(), Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.group, ctx = errgroup.WithContext(ctx)
	s.group.Go(func() error { return s.device.Run(ctx) })
	if err := s.serve(ctx, control); err != nil {
		cancel()
		_ = s.group.Wait() // it ended because of err
		return err
	}
	if rotation > 0 {
		s.group.Go(func() error { return s.attested.Run(ctx) })
	}
	return s.group.Wait()
}

// Attest has the device speak of a certificate, and notes when it did.
func (s *simulated) Attest(ctx context.Context, a nsm.Attestation) ([]byte, error) {
	document, err := s.device.Attest(ctx, a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.state.Failures++
	} else {
		s.state.Issued = append(s.state.Issued, time.Now())
	}
	return document, err
}

// serve opens all listeners, the one that it is told things at last.
func (s *simulated) serve(ctx context.Context, control string) error {
	if err := s.attested.Issue(ctx); err != nil {
		return err
	}
	handler, err := s.api()
	if err != nil {
		return err
	}
	limits, err := api.NewLimits(api.DefaultRequests, s.registry)
	if err != nil {
		return err
	}
	listen := func(name, address string, h http.Handler, secured *tls.Config) error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		server, err := api.NewServer(name, l, h, secured, simulatedLimit, limits, zap.NewNop())
		if err != nil {
			return err
		}
		s.state.Addresses[name] = l.Addr().String()
		s.group.Go(func() error { return server.Run(ctx) })
		return nil
	}
	if err := listen(listenAPI, "127.0.0.1:0", handler, s.attested.ServerConfig()); err != nil {
		return err
	}
	if err := s.serveHandshakes(ctx); err != nil {
		return err
	}
	return listen("control", control, s.control(), nil)
}

// api is what clients ask: signatures and proofs, as in the product.
func (s *simulated) api() (http.Handler, error) {
	c, err := newChain()
	if err != nil {
		return nil, err
	}
	store := keystore.New()
	keys := make([]*keystore.Key, simulatedKeys)
	for i := range keys {
		key, err := seedKey(i)
		if err != nil {
			return nil, err
		}
		keys[i] = keystore.NewKey(key)
	}
	store.Replace(keystore.Memory, keys)
	signer, err := signing.New(signing.Options{
		Network: c.network, Keys: store, Guard: slashing.NewGuard(noop.Open(), signWriteTimeout), Wait: signWriteTimeout, Registry: s.registry,
	})
	if err != nil {
		return nil, err
	}
	duties, err := eth2.New(eth2.Deps{
		Network: c.network, Signer: signer, Keys: store, Log: zap.NewNop(), Registry: s.registry,
	})
	if err != nil {
		return nil, err
	}
	proofs, err := wellknown.New(wellknown.Options{
		Attest: func(ctx context.Context, userData, nonce []byte) ([]byte, error) {
			return s.device.Attest(ctx, nsm.Attestation{UserData: userData, Nonce: nonce})
		},
		Current: s.attested.Current, Build: simulatedBuild, Registry: s.registry,
	})
	if err != nil {
		return nil, fmt.Errorf("proofs of connections: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /upcheck", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	duties.Register(mux)
	proofs.Register(mux)
	policies, err := auth.New(auth.Options{Open: true, Log: zap.NewNop(), Registry: s.registry})
	if err != nil {
		return nil, err
	}
	caller := policies.Identify(auth.Credential{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(w, api.WithCaller(r, caller)) }), nil
}
