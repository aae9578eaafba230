package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

const (
	// wantedRotations in all repeats, at least.
	wantedRotations = 100
	rotationPause   = 100 * time.Millisecond
	verifyEvery     = 64 // answers
	// shortValidity has a connection end with its certificate's last minute, two to three seconds after it began.
	shortValidity = 63 * time.Second
)

// rotations asks for signatures over many connections while the certificate is replaced again and again and connections end with
// theirs. Half of the clients are those that we offer: HTTP/2, a proof for each connection. The others are of package http, over
// HTTP/1.1, with no more than a configuration for TLS. None asks again for what had no answer.
type rotations struct {
	dir     string
	chain   chain
	size    int // connections
	repeats int

	stand      *stand
	transports []*http.Transport
	offered    []*atls.Transport
	clients    []*http.Client
	signers    []bls.PublicKey

	slot           atomic.Uint64 // the next to sign for
	connected      atomic.Int64  // connections that were verified
	sent, answered atomic.Int64
	made           int // rotations

	failing sync.Mutex // held while first changes
	first   error      // of the requests that were dropped
}

func (r *rotations) prepare(ctx context.Context) (err error) {
	r.slot.Store(firstEpoch)
	if r.stand, err = startStand(ctx, r.dir, r.chain, shortValidity, 0); err != nil {
		return err
	}
	options := r.stand.options
	options.Cache = attestation.NewCache(0)
	options.OnVerified = func(atls.Peer) { r.connected.Add(1) }
	config, err := atls.ClientConfig(options)
	if err != nil {
		return err
	}
	config.NextProtos = []string{"http/1.1"}
	options.Policy.Proof = attestation.ProofPerConnection
	for i := range r.size {
		key, err := seedKey(i % simulatedKeys)
		if err != nil {
			return err
		}
		r.signers = append(r.signers, key.PublicKey())
		transport, err := r.transport(i, config, options)
		if err != nil {
			return err
		}
		r.clients = append(r.clients, &http.Client{Transport: transport, Timeout: runLimit})
	}
	return nil
}

// transport is that of the i-th client, with one connection at a time.
func (r *rotations) transport(i int, config *tls.Config, options atls.Options) (http.RoundTripper, error) {
	if i%2 == 0 {
		t := &http.Transport{TLSClientConfig: config, MaxConnsPerHost: 1}
		r.transports = append(r.transports, t)
		return t, nil
	}
	t, err := atls.NewTransport(atls.TransportOptions{Servers: map[string]atls.Options{r.stand.api(): options}, MaxConnections: 1})
	if err == nil {
		r.offered = append(r.offered, t)
	}
	return t, err
}

// repeat rotates while all clients ask.
func (r *rotations) repeat(ctx context.Context, _ time.Duration) error {
	asking, enough := context.WithCancel(ctx)
	defer enough()
	var all sync.WaitGroup
	for i := range r.clients {
		all.Go(func() {
			for asking.Err() == nil {
				r.sent.Add(1)
				if err := r.ask(ctx, i); err != nil {
					r.fail(err)
					continue
				}
				r.answered.Add(1)
			}
		})
	}
	err := r.rotate(ctx)
	enough()
	all.Wait()
	if err != nil {
		return err
	}
	if r.first != nil {
		return fmt.Errorf("%d of %d requests were dropped within %d rotations, the first: %w", r.sent.Load()-r.answered.Load(), r.sent.Load(), r.made, r.first)
	}
	return nil
}

func (r *rotations) fail(err error) {
	r.failing.Lock()
	defer r.failing.Unlock()
	if r.first == nil {
		r.first = err
	}
}

func (r *rotations) rotate(ctx context.Context) error {
	tick := time.NewTicker(rotationPause)
	defer tick.Stop()
	for range (wantedRotations + r.repeats - 1) / r.repeats {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := r.stand.rotate(ctx); err != nil {
			return err
		}
		r.made++
	}
	return nil
}

// ask has the i-th client ask for one signature. Some answers are verified.
func (r *rotations) ask(ctx context.Context, i int) error {
	slot := r.slot.Add(1)
	m := r.chain.aggregationSlot(slot)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+r.stand.api()+"/api/v1/eth2/sign/"+r.signers[i].String(), bytes.NewReader(m.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := r.clients[i].Do(req)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return err
	}
	j := m.single(r.signers[i])
	if err := j.check(res.StatusCode, body); err != nil || slot%verifyEvery != 0 {
		return err
	}
	return j.verify(body)
}

func (r *rotations) report(t table) {
	t.note("%d connections that ask for signatures without a pause, half over HTTP/2 with a proof of each connection, half over HTTP/1.1, while the", r.size)
	t.note("attested certificate is replaced every %v and connections end with theirs:", rotationPause)
	t.held("requests dropped", "", float64(r.sent.Load()-r.answered.Load()), 0)
	t.note("    %d sent, %d answered 200, within %d rotations; connections replaced %d times", r.sent.Load(), r.answered.Load(), r.made,
		r.connected.Load()-int64(r.size))
}

func (r *rotations) stop() error {
	for _, t := range r.transports {
		t.CloseIdleConnections()
	}
	for _, t := range r.offered {
		t.Close()
	}
	return r.stand.stop()
}
