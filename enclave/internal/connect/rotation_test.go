package connect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/connect"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// TestRotationUnderLoad: 64 connections of clients ask for signatures, at any time and slowly answered ones among them, while the
// signer's certificate is replaced a hundred times and each connection ends with its own. Every request has its answer.
func TestRotationUnderLoad(t *testing.T) {
	for name, test := range map[string]struct {
		h1    bool
		proof attestation.Proof
	}{
		"over HTTP/1.1":                          {true, attestation.ProofCertificate},
		"over HTTP/2, each connection is proved": {false, attestation.ProofPerConnection},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { rotate(t, test.h1, test.proof) })
		})
	}
}

const (
	clients  = 64
	rotation = time.Minute
)

func rotate(t *testing.T, h1 bool, proof attestation.Proof) {
	s := enclave(t, newHypervisor(t, nil, image()), func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		<-time.After(rand.N(10 * time.Second)) // as long as a store may take to answer
		_, _ = w.Write(body)
	})
	s.at, s.h1 = &memory{}, h1
	s.rotation, s.validity = rotation, 3*rotation
	s.start(t)
	p := join(t, s, func(_ *connect.Options, o *atls.TransportOptions) {
		for host, options := range o.Servers {
			options.Policy.Proof = proof
			o.Servers[host] = options
		}
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := s.at.dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return newBuffered(conn), nil
		}
	})
	front := p.client.Transport.(*http.Transport).DialContext
	rotations := 100
	if testing.Short() || raced { // the race detector has crashed in the runtime's timers after some ten thousand requests in a bubble
		rotations = 10
	}
	end := time.Now().Add(time.Duration(rotations+1) * rotation)
	var all sync.WaitGroup
	for range clients {
		client := &http.Client{Transport: &http.Transport{DialContext: front, MaxConnsPerHost: 1}, Timeout: time.Minute}
		all.Go(func() {
			defer client.CloseIdleConnections()
			for n := 0; time.Now().Before(end); n++ {
				want := fmt.Sprintf(`{"n":%d}`, n)
				res, got, err := ask(t, client, http.MethodPost, p.url+signPath, want)
				if err != nil || res.StatusCode != http.StatusOK || got != want {
					t.Errorf("at %v: %.200s %v", time.Now(), got, err)
					return
				}
				<-time.After(rand.N(100 * time.Second))
			}
		})
	}
	all.Wait()
	rotated := metric(t, s.registry, "containment_tls_rotations_total")
	answered := metric(t, p.registry, "containment_connect_requests_total", "answered")
	total := metric(t, p.registry, "containment_connect_requests_total")
	verified := metric(t, p.registry, "containment_connect_connections_verified_total")
	t.Logf("%v rotations, %v requests of %d clients and of the proxy itself, %v answered, %v connections verified, %d certificates told in the log",
		rotated, total, clients, answered, verified, p.certificates())
	if answered != total || rotated < float64(rotations) {
		t.Errorf("%v of %v requests answered in %v rotations", answered, total, rotated)
	}
	// Each connection lasts until half a minute before its certificate's end, which is three rotations away at most.
	if n := p.certificates(); n < rotations/3 {
		t.Errorf("%d certificates were verified", n)
	}
	if n := p.told("no answer") + p.told("the signer is refused"); n > 0 {
		t.Errorf("trouble in the log: %v", p.logs.FilterMessage("no answer").All())
	}
}

// certificates counts those that the log tells of.
func (p *proxy) certificates() (n int) {
	for _, e := range p.logs.All() {
		if strings.HasPrefix(e.Message, "signer verified") && e.Level == 0 {
			n++
		}
	}
	return n
}

// buffered is a connection whose writer does not wait for its reader, like one of TCP: package http holds a mutex while it says
// goodbye, and in virtual time nobody may wait for a mutex for long.
type buffered struct {
	net.Conn
	mu     sync.Mutex // held while queue is used or closed
	queue  chan []byte
	closed bool
}

func newBuffered(conn net.Conn) *buffered {
	b := &buffered{Conn: conn, queue: make(chan []byte, 1<<10)}
	go func() {
		defer conn.Close()
		for data := range b.queue {
			if _, err := conn.Write(data); err != nil {
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, net.ErrClosed
	}
	select {
	case b.queue <- bytes.Clone(data):
		return len(data), nil
	default:
		return 0, errors.New("nobody reads")
	}
}

func (b *buffered) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		close(b.queue)
	}
	return b.Conn.SetReadDeadline(time.Unix(1, 0))
}
