//go:build linux

package faults

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// pace is how long a caller waits between two requests.
const pace = 20 * time.Millisecond

// caller is a client that nobody shares a key with, as a validator client should be. It has a connection of its own.
type caller struct {
	book *book
	http *http.Client
	url  string // of the API
	key  bls.PublicKey

	signed, failed atomic.Int64
}

// duties asks for one vote after the other until ctx ends, for each until it has it, and now and then for its double.
func (c *caller) duties(ctx context.Context) {
	next := time.NewTicker(pace)
	defer next.Stop()
	for target := uint64(firstHeight); ; target++ {
		for c.ask(ctx, attestation(target, false)) != signed {
			if !tick(ctx, next.C) {
				return
			}
		}
		if target%8 == 0 {
			c.ask(ctx, attestation(target, true))
		}
		if !tick(ctx, next.C) {
			return
		}
	}
}

// proofs asks for messages that need no store.
func (c *caller) proofs(ctx context.Context) {
	next := time.NewTicker(pace)
	defer next.Stop()
	for slot := uint64(firstHeight); tick(ctx, next.C); slot++ {
		c.ask(ctx, selection(slot))
	}
}

// tick is false if ctx ended.
func tick(ctx context.Context, next <-chan time.Time) bool {
	select {
	case <-next:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// ask asks once and books what comes. What cannot be an answer to the request fails the test.
func (c *caller) ask(ctx context.Context, v vote) answer {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
	defer cancel()
	began := time.Now()
	status, text, err := c.post(ctx, v.body)
	after := time.Since(began)
	a := cut
	switch {
	case err != nil:
		if errors.Is(err, context.DeadlineExceeded) {
			a = expired
		}
	case status == http.StatusOK:
		raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
		if err != nil || len(raw) != len(bls.Signature{}) {
			c.book.t.Errorf("%q is not a signature", text)
			break
		}
		c.book.verify(c.key, v, bls.Signature(raw))
		a = signed
	case status == http.StatusServiceUnavailable:
		a = unavailable
	case status == http.StatusPreconditionFailed && v.double:
		a = denied
	default:
		c.book.t.Errorf("%v of %s: status %d, %s", v.record, c.key.Short(), status, text)
	}
	c.book.took(a, after)
	switch a {
	case signed, denied:
		c.signed.Add(1)
	case unavailable, cut, expired:
		c.failed.Add(1)
	}
	return a
}

// post sends a request and reads the whole answer.
func (c *caller) post(ctx context.Context, body string) (status int, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/api/v1/eth2/sign/"+c.key.String(), strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, string(answer), err
}
