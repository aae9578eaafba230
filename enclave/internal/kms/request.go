package kms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/cenkalti/backoff/v4"
)

const (
	// tries is how often a request is sent while KMS has no time for it, or is not reached.
	tries = 3
	// firstPause lies between the first two tries, ±50 %; the next one is twice as long.
	firstPause = 200 * time.Millisecond
)

// request is what errors say was asked for.
type request struct {
	operation string
	key       string // ARN, "" if the operation has none
	region    string
}

// failed names the request in an error.
func (r request) failed(err error) error {
	if r.key == "" {
		return fmt.Errorf("KMS %s in %s: %w", r.operation, r.region, err)
	}
	return fmt.Errorf("KMS %s with %s: %w", r.operation, r.key, err)
}

// check refuses a request with a key for which there is no key or no context.
func (r request) check(key ARN, encryptionContext map[string]string) error {
	switch {
	case key == ARN{}:
		return fmt.Errorf("KMS %s: no key is given", r.operation)
	case len(encryptionContext) == 0:
		return r.failed(errors.New("no encryption context is given"))
	}
	return nil
}

// same checks that KMS used the key that it was asked to use.
func (r request) same(key ARN, used *string) error {
	if got := aws.ToString(used); got != key.text {
		return r.failed(fmt.Errorf("%w: it is of another key, %.120q", ErrAnswer, got))
	}
	return nil
}

// send sends a request to KMS of its region, and again if that can help.
func send[In, Out any](
	ctx context.Context, c *Client, r request, method func(context.Context, In, ...func(*kms.Options)) (Out, error), in In,
) (out Out, err error) {
	endpoint := ""
	if c.options.Endpoint != nil {
		endpoint = c.options.Endpoint(r.region)
	}
	if endpoint != "" && !strings.HasPrefix(endpoint, "https://") {
		return out, r.failed(fmt.Errorf("the endpoint %.100q does not begin with https://: an answer is worth what TLS makes it worth", endpoint))
	}
	there := func(o *kms.Options) {
		o.Region = r.region
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	}
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstPause), backoff.WithMultiplier(2))
	for try := 1; ; try++ {
		if out, err = method(ctx, in, there); err == nil {
			return out, nil
		}
		err = r.failed(explain(ctx, err))
		// The SDK signs the next request by the clock of the last answer, whether or not its own retryer sends it.
		passing := errors.Is(err, ErrThrottled) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrClock)
		if try == tries || !passing || !wait(ctx, pause.NextBackOff()) {
			return out, err
		}
	}
}

// wait is false if ctx ends before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
