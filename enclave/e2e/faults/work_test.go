//go:build linux

package faults

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// work has one client for each key: the first asks for what needs no store, the others for votes.
func (w *world) work(keys []bls.PublicKey) {
	w.t.Helper()
	policy, root, err := rig.Trust(filepath.Join(binaries, signerName), w.config, filepath.Join(w.dir, "nsm", "root.pem"))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	w.t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	for i, key := range keys {
		transport, err := atls.NewTransport(atls.TransportOptions{
			Servers: map[string]atls.Options{w.api: {Policy: policy, Roots: []*x509.Certificate{root}}}, Dial: w.dial,
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(transport.Close)
		c := &caller{book: w.book, http: &http.Client{Transport: transport}, url: "https://" + w.api, key: key}
		w.callers = append(w.callers, c)
		if i == 0 {
			all.Go(func() { c.proofs(ctx) })
		} else {
			all.Go(func() { c.duties(ctx) })
		}
	}
}

// dial opens the connections of clients, and remembers them.
func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c] = true
	return c, nil
}

// resetClients resets the connections of all clients.
func (w *world) resetClients() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		reset(c)
	}
	clear(w.conns)
}

// await asks for something until it is there.
func (w *world) await(what string, there func() bool) {
	w.now.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	late := time.After(limit)
	for !there() {
		select {
		case <-again.C:
		case <-late:
			w.now.Fatalf("no %s within %v", what, limit)
		}
	}
}

// each waits until a count of every client that asks for votes has risen by n.
func (w *world) each(n int64, what string, count func(*caller) int64) {
	w.now.Helper()
	before := make([]int64, len(w.callers))
	for i, c := range w.callers {
		before[i] = count(c)
	}
	for i, c := range w.callers[1:] {
		w.await(what, func() bool { return count(c) >= before[i+1]+n })
	}
}

func lucky(c *caller) int64   { return c.signed.Load() }
func unlucky(c *caller) int64 { return c.failed.Load() }
