package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

type atlsPolicy = attestation.Policy

// client talks to the signer over attested TLS.
type client struct {
	url  string
	http *http.Client

	mu   sync.Mutex // held while peer is set or read
	peer *atls.Peer // the last one that was verified
}

// newClient makes a client that accepts only what policy allows. A nil root is the AWS root.
func newClient(w *world, policy attestation.Policy, root *x509.Certificate) (*client, error) {
	c := &client{url: fmt.Sprintf("https://127.0.0.1:%d", w.ports.api)}
	o := atls.Options{Policy: policy, OnVerified: c.remember}
	if root != nil {
		o.Roots = []*x509.Certificate{root}
	}
	config, err := atls.ClientConfig(o)
	if err != nil {
		return nil, fmt.Errorf("make the attested TLS client: %w", err)
	}
	c.http = &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true},
	}
	return c, nil
}

func (c *client) remember(p atls.Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer = &p
}

// handshake connects, with a request that carries nothing, and returns whom it met.
func (c *client) handshake(ctx context.Context) (atls.Peer, error) {
	if _, _, err := get(ctx, c.http, c.url+"/upcheck"); err != nil {
		return atls.Peer{}, fmt.Errorf("connect with attested TLS: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peer == nil {
		return atls.Peer{}, errors.New("connect with attested TLS: no peer was verified")
	}
	return *c.peer, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// refused is an answer other than 200.
type refused struct {
	status  int
	message string
}

func (r *refused) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.message) }

// sign asks for a signature and returns it as 0x-hex.
func (c *client) sign(ctx context.Context, key string, request map[string]any) (string, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return "", fmt.Errorf("encode the %v request: %w", request["type"], err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/api/v1/eth2/sign/"+key, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	status, answer, err := send(c.http, req)
	if err != nil {
		return "", fmt.Errorf("sign %v: %w", request["type"], err)
	}
	if status != http.StatusOK {
		var problem struct{ Message string }
		_ = json.Unmarshal(answer, &problem) // an answer in another form is shown as it is
		if problem.Message == "" {
			problem.Message = string(answer)
		}
		return "", fmt.Errorf("sign %v: %w", request["type"], &refused{status, problem.Message})
	}
	var signed struct{ Signature string }
	if err := json.Unmarshal(answer, &signed); err != nil || len(signed.Signature) != 194 {
		return "", fmt.Errorf("sign %v: the answer holds no signature: %s", request["type"], answer)
	}
	return signed.Signature, nil
}

func get(ctx context.Context, c *http.Client, url string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	return send(c, req)
}

// maxAnswer is far above every answer of the signer.
const maxAnswer = 4 << 20

func send(c *http.Client, req *http.Request) (int, []byte, error) {
	res, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res.StatusCode, body, err
}
