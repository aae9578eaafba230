package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// client talks to one enclave over attested TLS: its image, and the configuration that it was told.
type client struct {
	url  string
	http *http.Client
}

func newClient(port int, policy attestation.Policy, root *x509.Certificate) (*client, error) {
	config, err := atls.ClientConfig(atls.Options{Policy: policy, Roots: []*x509.Certificate{root}})
	if err != nil {
		return nil, fmt.Errorf("make the attested TLS client: %w", err)
	}
	return &client{fmt.Sprintf("https://127.0.0.1:%d", port), &http.Client{
		Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: config},
	}}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// maxAnswer is far above every answer of the signer.
const maxAnswer = 4 << 20

// send sends a request, with a body unless it is nil, and returns status and body of the answer.
func (c *client) send(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var text io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		text = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, text)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res.StatusCode, answer, err
}

// status is what the signer says of itself.
func (c *client) status(ctx context.Context) (operator.Status, error) {
	var s operator.Status
	code, body, err := c.send(ctx, http.MethodGet, operator.RouteStatus, nil)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", operator.RouteStatus, code, body)
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}

// refused is an answer other than 200.
type refused struct {
	status  int
	message string
}

func (r *refused) Error() string {
	return fmt.Sprintf("%d %s: %s", r.status, http.StatusText(r.status), r.message)
}

// sign asks for a signature and returns it as 0x-hex.
func (c *client) sign(ctx context.Context, key string, request map[string]any) (string, error) {
	code, body, err := c.send(ctx, http.MethodPost, "/api/v1/eth2/sign/"+key, request)
	if err != nil {
		return "", fmt.Errorf("sign %v: %w", request["type"], err)
	}
	var answer struct{ Message, Signature string }
	_ = json.Unmarshal(body, &answer) // an answer in another form is shown as it is
	switch {
	case code != http.StatusOK && answer.Message != "":
		return "", &refused{code, answer.Message}
	case code != http.StatusOK || len(answer.Signature) != 194:
		return "", &refused{code, string(body)}
	}
	return answer.Signature, nil
}
