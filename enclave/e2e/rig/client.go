package rig

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

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// Client talks to one signer on this machine over attested TLS.
type Client struct {
	URL string
	// Token is sent with requests for duties, and OperatorToken with those for the status; "" sends none.
	Token, OperatorToken string

	http *http.Client
	mu   sync.Mutex // held while peer is set or read
	peer *atls.Peer // the last one that was verified
}

// NewClient makes a client that accepts only what policy allows. A nil root is the AWS root.
func NewClient(port int, policy attestation.Policy, root *x509.Certificate) (*Client, error) {
	c := &Client{URL: fmt.Sprintf("https://127.0.0.1:%d", port)}
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

// Close closes the connections that are not in use; the next request opens another.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) remember(p atls.Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer = &p
}

// Handshake connects, with a request that carries nothing, and returns whom it met.
func (c *Client) Handshake(ctx context.Context) (atls.Peer, error) {
	if _, _, err := c.Send(ctx, http.MethodGet, "/upcheck", nil); err != nil {
		return atls.Peer{}, fmt.Errorf("connect with attested TLS: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peer == nil {
		return atls.Peer{}, errors.New("connect with attested TLS: no peer was verified")
	}
	return *c.peer, nil
}

// Send sends a request, with a body unless it is nil, and returns status and body of the answer.
func (c *Client) Send(ctx context.Context, method, path string, body any) (int, []byte, error) {
	return c.send(ctx, c.Token, method, path, body)
}

func (c *Client) send(ctx context.Context, token, method, path string, body any) (int, []byte, error) {
	var text io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		text = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, text)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return answerOf(c.http, req)
}

// maxAnswer, in bytes, is far above every answer of the signer.
const maxAnswer = 4 << 20

func answerOf(c *http.Client, req *http.Request) (int, []byte, error) {
	res, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res.StatusCode, body, err
}

// Get asks a plaintext listener, and returns status and body of the answer.
func Get(ctx context.Context, url string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	return answerOf(http.DefaultClient, req)
}

// Status is what the signer says of itself.
func (c *Client) Status(ctx context.Context) (operator.Status, error) {
	var s operator.Status
	code, body, err := c.send(ctx, c.OperatorToken, http.MethodGet, operator.RouteStatus, nil)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", operator.RouteStatus, code, body)
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}

// Refused is an answer other than a signature.
type Refused struct {
	Status  int
	Message string
}

func (r *Refused) Error() string {
	return fmt.Sprintf("%d %s: %s", r.Status, http.StatusText(r.Status), r.Message)
}

// Sign asks for a signature and returns it as 0x-hex. The error is a *Refused if the signer said no.
func (c *Client) Sign(ctx context.Context, key string, request map[string]any) (string, error) {
	code, body, err := c.Send(ctx, http.MethodPost, "/api/v1/eth2/sign/"+key, request)
	if err != nil {
		return "", fmt.Errorf("sign %v: %w", request["type"], err)
	}
	var answer struct{ Message, Signature string }
	_ = json.Unmarshal(body, &answer) // an answer in another form is shown as it is
	switch {
	case code != http.StatusOK && answer.Message != "":
		return "", &Refused{code, answer.Message}
	case code != http.StatusOK || len(answer.Signature) != 194:
		return "", &Refused{code, string(body)}
	}
	return answer.Signature, nil
}
