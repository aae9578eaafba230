package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
)

const (
	// margin is how long before its evidence a certificate ends, so that a client whose clock is a little ahead
	// does not find a valid certificate around an expired document.
	margin = time.Minute
	// lead is how long before its end a certificate is replaced. The hypervisor renews the document's signing
	// certificate about 15 minutes before that ends, so that asking earlier would only return the same end again.
	lead = 10 * time.Minute
	// attestLimit bounds one attempt; a device that answers at all does so within milliseconds.
	attestLimit = 30 * time.Second
	// firstPause and longestPause bound the wait between attempts, each ±20 %.
	firstPause   = time.Second
	longestPause = time.Minute
)

// ErrShortLived is returned for a document that ends too soon to be of use. The hypervisor has a longer one within 15
// minutes.
var ErrShortLived = errors.New("attestation ends too soon")

// attester signs what it is given into an attestation document. It may take up to two minutes, or until ctx ends.
type attester interface {
	Attest(ctx context.Context, a nsm.Attestation) ([]byte, error)
}

// AttestedOptions say what certificates promise and for how long.
type AttestedOptions struct {
	Validity     time.Duration       // tls.atls.cert_validity_seconds: the most that a certificate lives
	Rotation     time.Duration       // tls.atls.rotation_interval_seconds: a new key and certificate after this at the latest
	ConfigDigest [48]byte            // of the measured configuration, as in PCR16
	Build        string              // version of this program
	Roots        []*x509.Certificate // under which documents stand; nil are AWS's
	Now          func() time.Time    // nil is time.Now
	Log          *zap.Logger
	Metrics      prometheus.Registerer
}

// Attested serves self-signed certificates that hold an attestation document over their own key. A certificate never
// outlives its document.
type Attested struct {
	attester attester
	opts     AttestedOptions
	metrics  *tlsMetrics
	current  atomic.Pointer[issued] // replaced whole by Issue; nil before the first
	failure  atomic.Pointer[error]  // why the last Issue failed; nil if it did not
}

// NewAttested makes a source without a certificate yet: Issue brings the first, Run the others.
func NewAttested(a attester, o AttestedOptions) (*Attested, error) {
	if o.Validity <= 0 || o.Rotation <= 0 {
		return nil, fmt.Errorf("attested certificates: validity %s and rotation %s must be positive", o.Validity, o.Rotation)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Attested{attester: a, opts: o}
	var err error
	if t.metrics, err = newTLSMetrics(o.Metrics, t.notAfter); err != nil {
		return nil, err
	}
	if err := register(o.Metrics, t.gauges()...); err != nil {
		return nil, err
	}
	return t, nil
}

// Issue puts a new certificate, of a new key, into service; on an error the old one stays. The boot calls it for the
// first certificate, which may be short-lived if there is no better; from then on only Run does.
func (t *Attested) Issue(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, attestLimit)
	defer cancel()
	next, err := t.issue(limited)
	if err == nil {
		err = t.worthwhile(next)
	}
	if err != nil {
		if ctx.Err() == nil { // else the caller is leaving, and the device is not to blame
			t.failed(err)
		}
		return err
	}
	if old := t.current.Swap(next); old != nil {
		t.metrics.rotations.Inc()
	}
	t.failure.Store(nil)
	t.opts.Log.Info("attestation certificate issued", next.fields()...)
	return nil
}

func (t *Attested) failed(err error) {
	t.metrics.failures.Inc()
	t.failure.Store(&err)
	t.opts.Log.Warn("attestation certificate not issued",
		zap.Error(err), zap.Time("attestation_certificate_not_after", t.notAfter()))
}

// worthwhile refuses a certificate that would have to be replaced at once, unless there is no better one.
func (t *Attested) worthwhile(next *issued) error {
	now, old := t.opts.Now(), t.current.Load()
	end := usableUntil(next.evidence)
	left := end.Sub(now)
	if left > lead || (left > 0 && (old == nil || !now.Before(old.notAfter))) {
		return nil
	}
	return fmt.Errorf("%w: usable for %s, until %s", ErrShortLived, left.Round(time.Second), end.UTC().Format(time.RFC3339))
}

// Run rotates until ctx ends. A failed attempt is repeated, after a second at first and a minute at last, while the
// old certificate is served until it expires. The error is always nil.
func (t *Attested) Run(ctx context.Context) error {
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstPause), backoff.WithMaxInterval(longestPause),
		backoff.WithRandomizationFactor(0.2), backoff.WithMaxElapsedTime(0))
	pause := t.untilRotation()
	for wait(ctx, pause) {
		if err := t.Issue(ctx); err != nil {
			pause = retry.NextBackOff()
			continue
		}
		retry.Reset()
		pause = t.untilRotation()
	}
	return nil
}

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

// untilRotation is 0 without a certificate, and never less than the first pause otherwise.
func (t *Attested) untilRotation() time.Duration {
	c := t.current.Load()
	if c == nil {
		return 0
	}
	// A validity shorter than the lead is still used for two thirds.
	due := c.notAfter.Add(-min(lead, t.opts.Validity/3))
	if interval := c.issuedAt.Add(t.opts.Rotation); interval.Before(due) {
		due = interval
	}
	return max(due.Sub(t.opts.Now()), firstPause)
}

// presenter is a connection that is told what its handshake shows, and that ends with it.
type presenter interface {
	Present(leaf *x509.Certificate)
}

// GetCertificate is for [tls.Config]. It fails without a certificate or with an expired one. A connection that can be told ends
// with the certificate that its handshake shows: nobody goes on to talk to what is no longer proved.
func (t *Attested) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := t.valid()
	if err != nil {
		return nil, err
	}
	if hello != nil {
		if conn, ok := hello.Conn.(presenter); ok {
			conn.Present(c.cert.Leaf)
		}
	}
	return c.cert, nil
}

// Healthy fails when there is no certificate that may be served, and says why the last attempt to get one failed. It fails
// as well from the moment that the clock is found to be wrong, although the certificate of before is served to its end.
func (t *Attested) Healthy() error {
	if _, err := t.valid(); err != nil {
		return err
	}
	if why := t.failure.Load(); why != nil {
		if _, off := errors.AsType[*nsm.ClockError](*why); off {
			return *why
		}
	}
	return nil
}

func (t *Attested) valid() (*issued, error) {
	c := t.current.Load()
	var err error
	switch {
	case c == nil:
		err = ErrNoCertificate
	case !t.opts.Now().Before(c.notAfter):
		err = fmt.Errorf("attested certificate expired at %s", c.notAfter.UTC().Format(time.RFC3339))
	default:
		return c, nil
	}
	if why := t.failure.Load(); why != nil {
		err = fmt.Errorf("%w; last attempt: %w", err, *why)
	}
	return nil, err
}

// Current returns the document inside the certificate in service and the certificate's end; nil without one.
func (t *Attested) Current() (document []byte, notAfter time.Time) {
	if c := t.current.Load(); c != nil {
		return c.evidence.Raw, c.notAfter
	}
	return nil, time.Time{}
}

func (t *Attested) notAfter() time.Time {
	_, end := t.Current()
	return end
}

// ServerConfig serves the current certificate over TLS 1.3 alone. Without tickets each connection sees the certificate
// of its own time: a resumed session would skip it.
func (t *Attested) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		NextProtos:             protocols(),
		GetCertificate:         t.GetCertificate,
	}
}
