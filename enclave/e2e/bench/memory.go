package main

import (
	"context"
	"fmt"
	"time"
)

const (
	stillFor   = 10                     // readings in a row that may not differ by more than stillness
	stillness  = 64 << 10               // bytes
	stillPause = 100 * time.Millisecond // between two readings
	stillLimit = 30 * time.Second
)

// settledMemory waits until a signer's resident memory stands still and returns it, in bytes.
func settledMemory(ctx context.Context, v *server) (int64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stillLimit, fmt.Errorf("not still within %v", stillLimit))
	defer cancel()
	tick := time.NewTicker(stillPause)
	defer tick.Stop()
	var last int64
	for still := 0; still < stillFor; {
		now, err := residentMemory(v.signer.PID())
		if err != nil {
			return 0, err
		}
		if max(now-last, last-now) > stillness {
			last, still = now, 0
		} else {
			still++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for the memory of %s: %w", v.name, context.Cause(ctx))
		}
	}
	return last, nil
}
