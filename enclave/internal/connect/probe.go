package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	// probeEvery is the time between two looks at the signer, ±20 %. It is below the idle time of connections, so that one stands ready
	// for the next duty, verified, and the evidence is replaced before a duty has to wait for that.
	probeEvery = 15 * time.Second
	// probeFirst is the time to the next look after the first failure, and then twice as much each time up to probeEvery.
	probeFirst = time.Second
	// probeLimit is longer than connecting may take, which then has an error of its own.
	probeLimit = 15 * time.Second
)

// prober looks at the signer while no client does.
type prober struct {
	signer    *Signer
	transport *reporting
}

func (p *prober) run(ctx context.Context) {
	for failures := 0; ; {
		if err := p.probe(ctx); err != nil {
			failures++
		} else {
			failures = 0
		}
		timer := time.NewTimer(pause(failures))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func pause(failures int) time.Duration {
	d := probeEvery
	if failures > 0 {
		d = min(d, probeFirst<<min(failures-1, 10))
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // jitter is no secret
}

// probe asks for what a signer answers as long as it lives. Nothing but the connection is judged.
func (p *prober) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.signer.url.JoinPath("upcheck").String(), nil)
	if err != nil {
		return fmt.Errorf("probe the signer: %w", err)
	}
	res, err := p.transport.RoundTrip(req)
	if t, ok := errors.AsType[*trouble](err); ok && t.kind == late {
		p.signer.failed(t, time.Now()) // nothing that the signer does keeps it from answering this
	}
	if err != nil {
		return fmt.Errorf("probe the signer: %w", err)
	}
	defer res.Body.Close()
	_, err = io.ReadAll(io.LimitReader(res.Body, 1<<10)) // so that the connection is free for others
	return err
}
