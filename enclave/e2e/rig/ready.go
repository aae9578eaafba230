package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// readyLimit is how long the product may take to become ready.
const readyLimit = 60 * time.Second

// AwaitReady asks a signer's health listener until it says that the signer is ready.
func AwaitReady(ctx context.Context, healthURL string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyLimit, fmt.Errorf("not ready within %v", readyLimit))
	defer cancel()
	for {
		missing := notReady(ctx, healthURL)
		if missing == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for readiness: %w; last answer: %w", context.Cause(ctx), missing)
		}
	}
}

// notReady says what is missing, if anything.
func notReady(ctx context.Context, healthURL string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, healthURL+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, body)
	}
	return nil
}
