package rig

import (
	"context"
	"fmt"
	"net/http"
)

// AwaitReady asks a signer's health listener until it says that the signer is ready, for a minute at most.
func AwaitReady(ctx context.Context, healthURL string) error {
	return Await(ctx, "readiness", func() (bool, error) {
		status, body, err := Get(ctx, healthURL+"/readyz")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d %s: %s", status, http.StatusText(status), body)
		}
		return err == nil, err
	})
}
