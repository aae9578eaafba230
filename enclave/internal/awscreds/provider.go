// Package awscreds keeps the AWS credentials of a signer in an enclave.
package awscreds

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/awshttp"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const (
	// refreshLimit bounds one refresh: three answers over a network, most of the time.
	refreshLimit = 20 * time.Second
	// refreshAhead is how long before their end credentials are replaced, ±20 %; of those that live for less than half an hour, a third
	// of what is left, but at least twice the margin. STS gives them for an hour, EKS Pod Identity for six.
	refreshAhead = 10 * time.Minute
	jitter       = 0.2
	// unending is how long credentials are used that do not say when they end.
	unending = time.Hour
	// margin is what credentials must have left to be used: a request is under way for some time, and clocks differ.
	margin = 10 * time.Second
	// minWait lies between two refreshes that went well.
	minWait = 5 * time.Second
	// After a failure it is tried again after minPause, doubling to maxPause, each ±20 %. A caller without credentials does not wait for
	// that, but gets the last error if it is younger than minPause.
	minPause = time.Second
	maxPause = 30 * time.Second
)

// Options say where credentials come from.
type Options struct {
	// Ask asks the parent what it was given, for each refresh anew.
	Ask func(context.Context) (wire.Identity, error)
	// Dial reaches STS, an agent or the instance metadata service: address is host:port with the host as in the URL.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Region is whose STS is asked.
	Region string
	// RoleARN is the role that credentials must be of. Empty: any.
	RoleARN string
	// RootCAs vouch for STS; nil are the system's, in an enclave those compiled in.
	RootCAs *x509.CertPool
	Log     *zap.Logger
	// Registry takes the metrics.
	Registry prometheus.Registerer
}

// Provider holds credentials and replaces them before they end. They are no secret from the parent, which can get the same. It is safe
// for concurrent use.
type Provider struct {
	options   Options
	role      role // of options.RoleARN
	client    *http.Client
	stsClient *sts.Client // kept: it learns from a refusal how far this machine's clock is off, and signs by that afterwards
	metrics   metrics

	mu     sync.Mutex      // held while the fields below are used
	held   aws.Credentials // without keys: none yet
	reason error           // why the last try failed; nil if it did not
	tried  time.Time       // when the last try ended
	next   chan struct{}   // closed when the next try has ended
	wanted chan struct{}   // wakes Run for a caller without credentials; holds one
}

// New prepares a Provider. Credentials are there when its Run has asked for them.
func New(o Options) (*Provider, error) {
	p := &Provider{options: o, next: make(chan struct{}), wanted: make(chan struct{}, 1)}
	if !regexp.MustCompile(`^[a-z0-9-]{1,32}$`).MatchString(o.Region) {
		return nil, errors.New("AWS credentials: want a region, such as eu-central-1")
	}
	var err error
	if o.RoleARN != "" {
		if p.role, err = parseRole(o.RoleARN); err != nil {
			return nil, fmt.Errorf("AWS credentials: %w", err)
		}
	}
	if p.metrics, err = newMetrics(o.Registry); err != nil {
		return nil, fmt.Errorf("AWS credentials: %w", err)
	}
	p.client = awshttp.New(o.Dial, o.RootCAs)
	p.stsClient = sts.New(sts.Options{Region: o.Region, HTTPClient: p.client, Retryer: aws.NopRetryer{}}) // takes nothing from the environment
	return p, nil
}

// Run refreshes until ctx ends. A failure leaves what is held in use until its end.
func (p *Provider) Run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(minPause), backoff.WithMaxInterval(maxPause), backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(jitter), backoff.WithMaxElapsedTime(0))
	for {
		limited, cancel := context.WithTimeout(ctx, refreshLimit)
		credentials, source, err := p.refresh(limited)
		cancel()
		select {
		case <-ctx.Done():
			p.finish(aws.Credentials{}, errors.New("the signer is stopping"))
			return nil
		default:
		}
		p.tell(credentials, source, err)
		p.finish(credentials, err)
		wait := pause.NextBackOff()
		if err == nil {
			pause.Reset()
			wait = untilRefresh(credentials, time.Now())
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.wanted:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// untilRefresh is how long credentials stay before they are replaced.
func untilRefresh(c aws.Credentials, now time.Time) time.Duration {
	if !c.CanExpire {
		return unending
	}
	left := c.Expires.Sub(now)
	ahead := float64(max(min(refreshAhead, left/3), 2*margin)) * (1 + jitter*(2*rand.Float64()-1)) //nolint:gosec // spreads load, hides nothing
	return max(left-time.Duration(ahead), minWait)
}

// usable says whether requests may be signed with credentials.
func usable(c aws.Credentials, now time.Time) bool {
	return c.HasKeys() && (!c.CanExpire || c.Expires.Sub(now) > margin)
}

// tell logs and counts what became of a refresh: each success, and the first and every changed failure.
func (p *Provider) tell(c aws.Credentials, source string, err error) {
	p.metrics.refreshed(c, err)
	p.mu.Lock()
	before, held := p.reason, p.held
	p.mu.Unlock()
	switch {
	case err == nil:
		p.options.Log.Info("AWS credentials", zap.String("source", source), zap.Time("expires", c.Expires))
	case before == nil || withoutID(before) != withoutID(err):
		p.options.Log.Warn("no new AWS credentials", zap.Error(err), zap.Bool("old_ones_usable", usable(held, time.Now())))
	}
}

var requestID = regexp.MustCompile(`RequestID: [0-9A-Za-z-]+`)

// withoutID is the text of an error without what differs at each try.
func withoutID(err error) string { return requestID.ReplaceAllString(err.Error(), "") }

// finish notes what became of a try, and wakes who waits for it.
func (p *Provider) finish(c aws.Credentials, reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if reason == nil {
		p.held = c
	}
	p.reason, p.tried = reason, time.Now()
	close(p.next)
	p.next = make(chan struct{})
	select {
	case <-p.wanted: // this was the try that was wanted
	default:
	}
}

// Retrieve returns what is held, if it can be used. If not it waits for the next try, unless one failed a moment ago: then it returns why. It
// implements [aws.CredentialsProvider].
func (p *Provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	p.mu.Lock()
	held, reason, next := p.held, p.reason, p.next
	if usable(held, time.Now()) || reason != nil && time.Since(p.tried) < minPause {
		p.mu.Unlock()
		return pick(held, reason)
	}
	select {
	case p.wanted <- struct{}{}:
	default: // somebody wants it already
	}
	p.mu.Unlock()
	select {
	case <-next:
		p.mu.Lock()
		defer p.mu.Unlock()
		return pick(p.held, p.reason)
	case <-ctx.Done():
		return aws.Credentials{}, fmt.Errorf("wait for AWS credentials: %w", context.Cause(ctx))
	}
}

// pick returns the credentials if they can be used, else the reason.
func pick(c aws.Credentials, reason error) (aws.Credentials, error) {
	if usable(c, time.Now()) {
		return c, nil
	}
	if reason == nil {
		reason = errors.New("they have ended")
	}
	return aws.Credentials{}, fmt.Errorf("AWS credentials: %w", reason)
}

// Await returns when there are credentials. Every failure until then is told to retrying, but for [ErrAnotherRole], which ends it; at
// the end of ctx it returns the last one.
func (p *Provider) Await(ctx context.Context, retrying func(error)) error {
	for {
		p.mu.Lock()
		held, reason, next := p.held, p.reason, p.next
		p.mu.Unlock()
		_, err := pick(held, reason)
		switch {
		case err == nil || errors.Is(err, ErrAnotherRole):
			return err
		case reason != nil:
			retrying(err)
		}
		select {
		case <-next:
		case <-ctx.Done():
			if reason == nil {
				err = fmt.Errorf("wait for AWS credentials: %w", context.Cause(ctx))
			}
			return err
		}
	}
}
