// Package boot brings an enclave from nothing to configured.
package boot

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// lastWords is how long a stage whose limit is over gets to say why it is not done.
const lastWords = time.Second

// Stage is one step of the start.
type Stage struct {
	// Name is one word for logs, errors and health answers.
	Name string
	// Limit is how long the stage may take.
	Limit time.Duration
	// Run does it. Its context ends at the limit.
	Run func(context.Context) error
}

// Run runs the stages one after another, tells progress where it is, and logs one line per stage that is done. The first error
// ends it: "stage NAME: …", or "stage NAME: not done within LIMIT: …". A stage that does not heed its context cannot hold Run up; its
// goroutine is then left behind, so that the process must end after an error.
func Run(ctx context.Context, log *zap.Logger, p *Progress, stages []Stage) error {
	ctx = context.WithValue(ctx, progressKey{}, p)
	for _, s := range stages {
		p.begin(s.Name)
		began := time.Now()
		if err := s.run(ctx); err != nil {
			p.retrying(err)
			return fmt.Errorf("stage %s: %w", s.Name, err)
		}
		log.Info("stage done", zap.String("stage", s.Name), zap.Duration("duration", time.Since(began)))
	}
	p.finish()
	return nil
}

func (s Stage) run(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(limited) }()
	select {
	case err := <-ended:
		return s.judge(ctx, limited, err)
	case <-limited.Done():
	}
	patience := time.NewTimer(lastWords)
	defer patience.Stop()
	select {
	case err := <-ended:
		return s.judge(ctx, limited, err)
	case <-patience.C:
		return s.judge(ctx, limited, fmt.Errorf("it does not answer: %w", context.Cause(limited)))
	}
}

// judge says whether a failed stage failed by itself, ran out of time, or was stopped with the process.
func (s Stage) judge(ctx, limited context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("stopped: %w", err)
	case limited.Err() != nil:
		return fmt.Errorf("not done within %v: %w", s.Limit, err)
	}
	return err
}
