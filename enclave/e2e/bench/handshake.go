package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// Targets of attested handshakes, as multiples of a plain one.
const (
	targetServer = 1.2
	targetClient = 1.5 // of a client that has verified the same document before
)

// handshakes measures what a handshake costs each side, in processes of their own: the simulated signer, and this one. The CPU
// time of a connection without a handshake is taken off.
type handshakes struct {
	dir   string
	chain chain

	stand *stand
	kinds []greeting
	runs  []map[string]shares // by the kind's name
}

// greeting is one kind of handshake. config makes the client's side, for each one anew; nil is none at all.
type greeting struct {
	name, listener string
	config         func() (*tls.Config, error)
}

// shares is the CPU time that connections cost.
type shares struct {
	server, client time.Duration
	made           int
}

// plus is both together.
func (s shares) plus(o shares) shares {
	return shares{s.server + o.server, s.client + o.client, s.made + o.made}
}

// beyond is what one handshake costs beside a bare connection.
func (s shares) beyond(bare shares) cost {
	each := func(total time.Duration, n int) float64 { return micros(total) / float64(n) }
	return cost{each(s.server, s.made) - each(bare.server, bare.made), each(s.client, s.made) - each(bare.client, bare.made)}
}

// cost is that of one handshake, in microseconds of CPU time.
type cost struct{ server, client float64 }

// The kinds of handshakes.
const (
	greetTCP    = "none"
	greetPlain  = "plain"
	greetPinned = "pinned"
	greetSeen   = "seen"
	greetFirst  = "first"
)

func (h *handshakes) prepare(ctx context.Context) (err error) {
	if h.stand, err = startStand(ctx, h.dir, h.chain, 24*time.Hour, 0); err != nil {
		return err
	}
	plain, err := ordinaryClient(h.stand.first.Authority)
	if err != nil {
		return err
	}
	pinned, err := ordinaryClient(h.stand.first.Pinned)
	if err != nil {
		return err
	}
	seen, err := atls.ClientConfig(h.stand.options)
	if err != nil {
		return err
	}
	always := func(c *tls.Config) func() (*tls.Config, error) { return func() (*tls.Config, error) { return c, nil } }
	h.kinds = []greeting{
		{greetTCP, listenTCP, nil},
		{greetPlain, listenPlain, always(plain)},
		{greetSeen, listenAttested, always(seen)},
		{greetPinned, listenPinned, always(pinned)},
		{greetFirst, listenAttested, func() (*tls.Config, error) { return atls.ClientConfig(h.stand.options) }},
	}
	for _, k := range h.kinds { // so that what has to be done once is done
		if _, err := h.measure(ctx, k, 0); err != nil {
			return err
		}
	}
	return nil
}

// ordinaryClient trusts one authority.
func ordinaryClient(authority []byte) (*tls.Config, error) {
	c, err := x509.ParseCertificate(authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(c)
	return &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, RootCAs: roots, ServerName: ordinaryName}, nil
}

// handshakeRounds is how often the kinds take turns in a repeat, in one order and in the other, so that a load that comes and goes
// hits all alike.
const handshakeRounds = 8

func (h *handshakes) repeat(ctx context.Context, window time.Duration) error {
	run := map[string]shares{}
	for range handshakeRounds {
		for _, k := range h.kinds {
			s, err := h.measure(ctx, k, window/(4*handshakeRounds))
			if err != nil {
				return err
			}
			run[k.name] = run[k.name].plus(s)
		}
		slices.Reverse(h.kinds)
	}
	h.runs = append(h.runs, run)
	return nil
}

// measure makes handshakes for the time given, with more clients than CPUs, so that none is idle; each client makes one at least.
func (h *handshakes) measure(ctx context.Context, k greeting, window time.Duration) (s shares, err error) {
	runtime.GC() // what was done before is not these handshakes' fault
	before, err := h.usage()
	if err != nil {
		return s, err
	}
	clients := 4 * runtime.GOMAXPROCS(0)
	failures := make([]error, clients)
	var made atomic.Int64
	var all sync.WaitGroup
	end := time.Now().Add(window)
	for i := range clients {
		all.Go(func() {
			for {
				if failures[i] = k.make(ctx, h.stand.first.Addresses[k.listener]); failures[i] != nil {
					return
				}
				made.Add(1)
				if !time.Now().Before(end) {
					return
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return s, fmt.Errorf("handshake (%s): %w", k.name, err)
	}
	after, err := h.usage()
	return shares{after.server - before.server, after.client - before.client, int(made.Load())}, err
}

// usage is the CPU time that both sides have used so far.
func (h *handshakes) usage() (s shares, err error) {
	if s.server, err = cpuTime(h.stand.process.PID()); err != nil {
		return s, err
	}
	s.client, err = cpuTime(os.Getpid())
	return s, err
}

// make makes one connection, and returns when the server has ended its side of the handshake too.
func (k greeting) make(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(runLimit)); err != nil {
		return err
	}
	if k.config != nil {
		config, err := k.config()
		if err != nil {
			return err
		}
		if err := tls.Client(conn, config).HandshakeContext(ctx); err != nil {
			return err
		}
	}
	switch n, err := conn.Read(make([]byte, 1)); {
	case n != 0:
		return errors.New("the server sent something after the handshake")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("wait for the server's end of the handshake: %w", err)
	}
	return nil
}

func (h *handshakes) report(t table) {
	server := func(c cost) float64 { return c.server }
	client := func(c cost) float64 { return c.client }
	t.note("CPU time of a TLS 1.3 handshake with an attested certificate, against one with an ordinary certificate of an authority that the client")
	t.note("trusts; P-256 both, no tickets, each side in a process of its own, what TCP alone costs taken off:")
	all := h.against(greetSeen, greetPlain, server)
	t.held("handshake, server", "×", median(all), targetServer)
	t.note("    %.2f to %.2f; plain %.0f µs; certificates of %d and %d bytes", slices.Min(all), slices.Max(all), h.plain(server),
		h.stand.first.Sizes[listenAttested], h.stand.first.Sizes[listenPlain])
	all = h.against(greetSeen, greetPlain, client)
	t.held("handshake, client that has verified the same document before", "×", median(all), targetClient)
	t.note("    %.2f to %.2f; plain %.0f µs", slices.Min(all), slices.Max(all), h.plain(client))
	all = h.against(greetSeen, greetPinned, client)
	t.line("    the same, against a client that holds the certificate itself", number(median(all))+"×")
	t.note("    %.2f to %.2f; such a client checks no signature of the certificate, but the name and the key alone", slices.Min(all), slices.Max(all))
	all = h.against(greetFirst, greetPlain, client)
	t.line("handshake, client that sees the document for the first time", number(median(all))+"×")
	t.note("    %.2f to %.2f", slices.Min(all), slices.Max(all))
}

// against is what one kind costs as a multiple of another, by run.
func (h *handshakes) against(kind, other string, of func(cost) float64) (all []float64) {
	for _, r := range h.runs {
		all = append(all, of(r[kind].beyond(r[greetTCP]))/of(r[other].beyond(r[greetTCP])))
	}
	return all
}

// plain is what a plain handshake costs, in microseconds.
func (h *handshakes) plain(of func(cost) float64) float64 {
	var all []float64
	for _, r := range h.runs {
		all = append(all, of(r[greetPlain].beyond(r[greetTCP])))
	}
	return median(all)
}

func (h *handshakes) stop() error { return h.stand.stop() }
