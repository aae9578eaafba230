package atls

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// WatcherOptions say which servers a [Watcher] looks at, and how often.
type WatcherOptions struct {
	// Servers are those that it looks at, by any name.
	Servers map[string]Watched
	// Interval is the time between two looks at a server, ±20 %; 0 is 5 minutes. After a failure it is 1 s at first, then twice as much each
	// time up to Interval; before evidence ends it is shorter too.
	Interval time.Duration
	// RoundTripper fetches documents; nil is one that believes no certificate and needs none, for a document proves itself.
	RoundTripper http.RoundTripper
	// OnChange is called when a server shows another document, fails, or fails no longer; nil is not called. It is called by one goroutine
	// for each server, which waits for it.
	OnChange func(name string, s Status)
}

// Watched is a server whose document is looked at. Its options' OnVerified is not called, and a proof per connection not asked for.
type Watched struct {
	// URL is that of the server without a path: https for its API, or http for its health port.
	URL string
	Options
}

// Status is what is known of a server.
type Status struct {
	// Evidence is what its document proved when it was last fetched without an error; nil if it never was.
	Evidence *Evidence
	Fetched  time.Time // when that was
	// Err is why the latest look failed, nil if it did not. It may be an [*Error], or ErrNotFetched.
	Err   error
	Since time.Time // when the first of the looks failed that have failed without a break; zero if the latest did not
}

// fetchTimeout bounds one look.
const fetchTimeout = 30 * time.Second

// firstRetry is the wait after the first failure.
const firstRetry = time.Second

// Watcher looks at the present documents of servers again and again, to tell in time that one has changed or is about to end. What it fetches
// proves what a server's document is, and nothing about a connection: that is the [Transport]'s, which saves the signature
// checks of documents that a Watcher with the same [attestation.Cache] has seen.
type Watcher struct {
	options WatcherOptions
	servers map[string]*watched

	mu       sync.Mutex
	statuses map[string]Status
}

type watched struct {
	url      *url.URL
	verifier *verifier
}

// NewWatcher checks the options of all servers. The error names the server.
func NewWatcher(o WatcherOptions) (*Watcher, error) {
	o.Interval = cmp.Or(o.Interval, 5*time.Minute)
	if o.RoundTripper == nil {
		o.RoundTripper = &http.Transport{
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // a document proves itself, whoever hands it over
			TLSHandshakeTimeout: fetchTimeout,
			DisableKeepAlives:   true, // the next look is minutes away
		}
	}
	w := &Watcher{options: o, servers: map[string]*watched{}, statuses: map[string]Status{}}
	for name, s := range o.Servers {
		v, err := newVerifier(s.Options, false)
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
		u, err := url.Parse(s.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path != "" || u.RawQuery != "" {
			return nil, fmt.Errorf("server %s: URL %.200q, want https://HOST:PORT or http://HOST:PORT", name, s.URL)
		}
		w.servers[name] = &watched{url: u.JoinPath(WellKnownPath), verifier: v}
	}
	if len(w.servers) == 0 {
		return nil, errors.New("attested TLS: no server is named")
	}
	return w, nil
}

// Run looks at all servers until ctx ends, and returns when all its goroutines have ended. The error is always nil.
func (w *Watcher) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for name, s := range w.servers {
		all.Go(func() { w.watch(ctx, name, s) })
	}
	all.Wait()
	return nil
}

// Status returns what is known of a server; false if no look at it has ended yet.
func (w *Watcher) Status(name string) (Status, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.statuses[name]
	return s, ok
}

func (w *Watcher) watch(ctx context.Context, name string, s *watched) {
	failures := 0
	for {
		evidence, err := s.look(ctx, w.options.RoundTripper)
		if ctx.Err() != nil {
			return
		}
		if failures++; err == nil {
			failures = 0
		}
		w.record(name, evidence, err, s.verifier.Now())
		timer := time.NewTimer(w.pause(failures, evidence, s.verifier.Now()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// look fetches and verifies the present document.
func (s *watched) look(ctx context.Context, rt http.RoundTripper) (*Evidence, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	raw, err := fetchDocument(ctx, rt, s.url)
	if err != nil {
		return nil, err
	}
	evidence, err := s.verifier.evidence(raw, s.verifier.Now())
	if err != nil {
		return nil, err
	}
	return &evidence, nil
}

// pause is the time until the next look.
func (w *Watcher) pause(failures int, evidence *Evidence, now time.Time) time.Duration {
	d := w.options.Interval
	if failures > 0 {
		d = min(d, firstRetry<<min(failures-1, 20))
	}
	if evidence != nil {
		d = min(d, max(evidence.NotAfter.Sub(now)*2/3, firstRetry))
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // jitter is no secret
}

// record keeps the outcome of a look, and tells of a change.
func (w *Watcher) record(name string, evidence *Evidence, err error, now time.Time) {
	w.mu.Lock()
	before, known := w.statuses[name]
	s := Status{Evidence: evidence, Fetched: now}
	if err != nil {
		s = Status{Evidence: before.Evidence, Fetched: before.Fetched, Err: err, Since: cmp.Or(before.Since, now)}
	}
	w.statuses[name] = s
	w.mu.Unlock()
	changed := !known || (before.Err == nil) != (err == nil) || err == nil && !sameDocument(before.Evidence, evidence)
	if changed && w.options.OnChange != nil {
		w.options.OnChange(name, s)
	}
}

// sameDocument compares by what a document is bound to: each certificate has its own key.
func sameDocument(a, b *Evidence) bool {
	return a != nil && b != nil && a.Document.Timestamp.Equal(b.Document.Timestamp) && a.Binding == b.Binding
}
