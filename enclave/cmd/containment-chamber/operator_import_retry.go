package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

const (
	firstPause   = 250 * time.Millisecond // before a request is sent again; twice as long each time
	longestPause = 15 * time.Second
)

// patiently asks a signer, and again while it is away, for as long as the import has patience. A signer that has never answered is not waited
// for: its name, or who it is, is wrong. What is under way when ctx ends comes to its end; ask gets a context of its own for that.
func (k *keyImport) patiently(ctx context.Context, ask func(ctx context.Context) error) error {
	var since time.Time
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := k.askOnce(ctx, ask)
		answered := err == nil || errors.As(err, new(*refusalError))
		if answered {
			k.met.Store(true)
		}
		if err == nil {
			k.away.Store(false)
		}
		if since.IsZero() {
			since = time.Now()
		}
		left := k.patience - time.Since(since)
		switch {
		case err == nil || !k.met.Load() || !passing(err) || ctx.Err() != nil || k.patience == 0:
			return err
		case left <= 0:
			return fmt.Errorf("given up after %s: %w", k.patience, err)
		}
		if !k.away.Swap(true) {
			k.bar.note(fmt.Sprintf("%v; it is asked again for %s", err, k.patience))
		}
		select {
		case <-time.After(min(left, pause*3/4+rand.N(pause/4+1))): //nolint:gosec // G404: jitter
		case <-ctx.Done():
			return err
		}
	}
}

// askOnce lets a request come to its end when ctx ends, and not wait for ever.
func (*keyImport) askOnce(ctx context.Context, ask func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerLimit)
	defer cancel()
	return ask(ctx)
}

// passing tells whether an error may go by itself: the signer or its connection is away, or it has no place now. A signer that is not the one
// that it should be stays so.
func passing(err error) bool {
	if refused, ok := errors.AsType[*refusalError](err); ok {
		switch refused.status {
		case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusTooManyRequests:
			return true
		}
		return false
	}
	return !errors.As(err, new(*atls.Error)) && !errors.As(err, new(*tls.CertificateVerificationError))
}
