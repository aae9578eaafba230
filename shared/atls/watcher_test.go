package atls_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// board shows a document, or none, and counts who asks.
type board struct {
	mu       sync.Mutex
	document []byte // nil: status 503
	asked    []time.Time
	plain    bool // whether a nonce was never asked for
}

func (b *board) show(document []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.document, b.asked = document, nil
}

func (b *board) answer(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, time.Now())
	b.plain = r.URL.RawQuery == "" && r.URL.Path == atls.WellKnownPath
	if b.document == nil {
		http.Error(w, "no document", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", atls.MediaType)
	w.Write(b.document) //nolint:errcheck // the client's affair
}

func (b *board) visits() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// watch runs a watcher of one signer in virtual time, whose changes go to the test.
func watch(t *testing.T, a *authority, b *board, test func(c *clock, changes chan atls.Status, w *atls.Watcher)) {
	synctest.Test(t, func(t *testing.T) {
		farewell(t)
		listener, c := newPipes(), &clock{start: time.Now()}
		(&signer{authority: a, answer: b.answer}).serve(t, listener)
		o := a.options()
		o.Now = c.now
		changes := make(chan atls.Status, 100)
		w, err := atls.NewWatcher(atls.WatcherOptions{
			Servers:      map[string]atls.Watched{"signer": {URL: "https://signer:9443", Options: o}},
			RoundTripper: &http.Transport{DialContext: listener.dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
			OnChange:     func(_ string, s atls.Status) { changes <- s },
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := w.Status("signer"); ok {
			t.Error("a status before the first look")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		test(c, changes, w)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, ok := w.Status("nobody"); ok {
			t.Error("a status of a server that is not watched")
		}
	})
}

func documentFrom(t *testing.T, a *authority, s server) []byte {
	t.Helper()
	return documentOf(s.certificate(t, a))
}

func TestWatcher(t *testing.T) {
	a := newAuthority(t)
	first := documentFrom(t, a, server{})
	second := documentFrom(t, a, server{})
	strange := documentFrom(t, a, server{payload: func(p *issuer.Payload) { p.PCRs = map[int]attestation.PCR{0: {9}, 1: {2}, 2: {3}} }})
	b := &board{document: first}
	watch(t, a, b, func(c *clock, changes chan atls.Status, w *atls.Watcher) {
		s := <-changes
		if s.Err != nil || s.Evidence == nil || s.Evidence.Label != "image" || s.Evidence.Binding.Build != "v1" || !s.Evidence.NotAfter.Equal(now.Add(3*time.Hour)) {
			t.Fatalf("first look: %+v, error %v", s.Evidence, s.Err)
		}
		wait(time.Hour)
		if n := len(b.visits()); n < 10 || n > 16 || !b.plain {
			t.Errorf("%d looks in an hour, want one each 5 minutes ±20 %%, without a nonce: %v", n, b.plain)
		}
		if now, ok := w.Status("signer"); !ok || now.Err != nil || c.now().Sub(now.Fetched) > 6*time.Minute || len(changes) != 0 {
			t.Errorf("after an hour: fetched %v, error %v, %d changes", now.Fetched, now.Err, len(changes))
		}

		b.show(second)
		if s := <-changes; s.Err != nil || s.Evidence.Binding == (atls.Binding{}) {
			t.Errorf("another document: %v", s.Err)
		}

		// Away: asked more often at first, and what was proved before stays known.
		b.show(nil)
		s = <-changes
		if s.Err == nil || !strings.Contains(s.Err.Error(), "status 503") || s.Since.IsZero() || s.Evidence == nil {
			t.Errorf("away: %+v", s)
		}
		wait(25 * time.Second)
		if n := len(b.visits()); n < 4 || n > 6 { // after 1, 2, 4 and 8 s, each ±20 %
			t.Errorf("%d looks in 25 s of failures", n)
		}
		latest, _ := w.Status("signer")
		if !latest.Since.Equal(s.Since) || !latest.Fetched.Equal(s.Fetched) || latest.Err == nil || len(changes) != 0 {
			t.Errorf("still away: %+v, %d changes", latest, len(changes))
		}

		b.show(strange)
		wait(time.Minute)
		latest, _ = w.Status("signer")
		if e, ok := errors.AsType[*atls.Error](latest.Err); !ok || e.Check != atls.CheckPolicy || latest.Evidence.Document.PCRs[0] != image[0] {
			t.Errorf("another image: %+v", latest)
		}
		b.show(second)
		if s := <-changes; s.Err != nil || !s.Since.IsZero() {
			t.Errorf("healed: %+v", s)
		}
	})
}

// TestWatcherLooksBeforeTheEnd: evidence that ends soon is looked at sooner, so that its successor is known in time.
func TestWatcherLooksBeforeTheEnd(t *testing.T) {
	a := newAuthority(t)
	b := &board{document: documentFrom(t, a, server{})}
	watch(t, a, b, func(c *clock, changes chan atls.Status, _ *atls.Watcher) {
		<-changes
		c.jump(3*time.Hour - 7*time.Minute)
		wait(6 * time.Minute)
		b.show(b.document)
		wait(time.Minute)
		if n := len(b.visits()); n < 2 {
			t.Errorf("%d looks in the last minute of the document", n)
		}
		wait(6 * time.Minute)
		if s := <-changes; s.Err == nil || !strings.Contains(s.Err.Error(), "is after") {
			t.Errorf("after its end: %+v", s)
		}
	})
}

// TestWatcherOverTheNetwork uses what a watcher brings along, with several names, each under its own options.
func TestWatcherOverTheNetwork(t *testing.T) {
	a := newAuthority(t)
	s := (&signer{authority: a}).start(t)
	other := a.options()
	other.Policy = attestation.Policy{Sets: []attestation.Set{{PCRs: attestation.Measurements{0: {9}}}}}
	names := make(chan string, 2)
	w, err := atls.NewWatcher(atls.WatcherOptions{
		Servers: map[string]atls.Watched{
			"right": {URL: "https://" + s.address, Options: a.perConnection()}, "wrong": {URL: "https://" + s.address, Options: other},
		},
		OnChange: func(name string, _ atls.Status) { names <- name },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	seen := map[string]bool{<-names: true, <-names: true}
	cancel()
	if err := <-done; err != nil || !cmp.Equal(seen, map[string]bool{"right": true, "wrong": true}) {
		t.Errorf("heard of %v, %v", seen, err)
	}
	if right, _ := w.Status("right"); right.Err != nil {
		t.Error(right.Err)
	}
	wrong, _ := w.Status("wrong")
	if e, ok := errors.AsType[*atls.Error](wrong.Err); !ok || e.Check != atls.CheckPolicy || wrong.Evidence != nil {
		t.Errorf("got %+v", wrong)
	}
}

func TestNewWatcherRefuses(t *testing.T) {
	good := newAuthority(t).options()
	for words, servers := range map[string]map[string]atls.Watched{
		"no server is named":                     nil,
		"server a: attested TLS: policy":         {"a": {URL: "https://signer"}},
		`server a: URL "signer:9443", want http`: {"a": {URL: "signer:9443", Options: good}},
		`URL "https://signer/x"`:                 {"a": {URL: "https://signer/x", Options: good}},
		`URL "https://signer?x"`:                 {"a": {URL: "https://signer?x", Options: good}},
		`URL "https://"`:                         {"a": {URL: "https://", Options: good}},
		`URL "https://a signer"`:                 {"a": {URL: "https://a signer", Options: good}},
		`URL "ftp://signer"`:                     {"a": {URL: "ftp://signer", Options: good}},
	} {
		if w, err := atls.NewWatcher(atls.WatcherOptions{Servers: servers}); w != nil || err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, %v, want %q", w != nil, err, words)
		}
	}
	for _, address := range []string{"https://signer:9443", "http://signer:9000"} { // the API, or the health port
		if _, err := atls.NewWatcher(atls.WatcherOptions{Servers: map[string]atls.Watched{"a": {URL: address, Options: good}}}); err != nil {
			t.Error(err)
		}
	}
}
