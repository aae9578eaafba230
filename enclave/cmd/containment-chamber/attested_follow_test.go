package main

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// follow makes the transport of a proxy before a server, which looks at its files when it is told to.
func follow(t *testing.T, address string, args ...string) (*signerTransport, *observer.ObservedLogs, *atomic.Int64) {
	t.Helper()
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetErr(io.Discard)
	flags := newAttestedFlags(cmd.Flags())
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	base, err := parseSignerURL("--signer", address)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := flags.recognize(cmd, base)
	if err != nil {
		t.Fatal(err)
	}
	verified := new(atomic.Int64) // connections
	trust.attested.OnVerified = func(atls.Peer) { verified.Add(1) }
	core, logs := observer.New(zap.DebugLevel)
	transport, err := trust.following(zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.Close)
	return transport, logs, verified
}

// TestFollowsItsFiles: a signer that the files no longer accept is refused, over a connection that stands too, and accepted again
// when they do. What was found once, and may be half written, changes nothing yet.
func TestFollowsItsFiles(t *testing.T) {
	e := newEnclave(t)
	s := e.serve(http.HandlerFunc(echo))
	name := strings.TrimPrefix(s.URL, "https://")
	store := &atls.TrustStore{Path: e.trustFile}
	good := "sets: [{pcrs: {PCR0: " + e.pcrs[0].String() + "}}]\n"
	revoked := strings.Replace(good, "01", "07", 1)
	policy := e.policy("policy.yaml")
	remember := func() {
		peer, err := atls.Observe(t.Context(), name, atls.Options{Roots: mustRoot(t, e.rootFile)}, nil)
		e.check(err)
		e.check(store.Remember(name, peer))
	}
	write := func(path, text string) func() { return func() { e.check(os.WriteFile(path, []byte(text), 0o600)) } }
	root := []string{"--attestation-root", e.rootFile}
	for _, test := range []struct {
		name   string
		flags  []string
		change func()
		check  atls.Check // that refuses
		words  string
		repair func()
	}{
		{"a policy with another set", []string{"--policy", policy}, write(policy, revoked), atls.CheckPolicy, "want 07", write(policy, good)},
		{"half a policy", []string{"--policy", policy}, write(policy, good[:40]), atls.CheckPolicy, "--policy: " + policy, write(policy, good)},
		{"no policy", []string{"--policy", policy}, func() { e.check(os.Remove(policy)) }, atls.CheckPolicy, "no such file", write(policy, good)},
		{"forgotten", []string{"--trust-file", e.trustFile}, func() { e.check(store.Forget(name)) }, atls.CheckTrust, "nothing is remembered", remember},
		{"forgotten, and first use", []string{"--trust-on-first-use", "--trust-file", e.trustFile}, func() { e.check(store.Forget(name)) }, atls.CheckTrust, "nothing is remembered", remember},
		{"a damaged store", []string{"--trust-file", e.trustFile}, write(e.trustFile, "{}"), atls.CheckTrust, "damaged", func() { e.check(os.Remove(e.trustFile)); remember() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			e.check(makeDirectory(store))
			if _, err := store.Lookup(name); err != nil {
				remember()
			}
			transport, logs, verified := follow(t, s.URL, append(root, test.flags...)...)
			f := transport.follower
			accepted := func(when string, connections int64) {
				t.Helper()
				if text, err := get(t, transport, s.URL); err != nil || text != "heard body" || verified.Load() != connections {
					t.Errorf("%s: %q, %v, over %d connections, want %d", when, text, err, verified.Load(), connections)
				}
			}
			accepted("at first", 1)
			f.look()
			f.look()
			accepted("without a change", 1)
			test.change()
			f.look()
			accepted("after one look", 1)
			f.look()
			_, err := get(t, transport, s.URL)
			if refused, ok := errors.AsType[*atls.Error](err); !ok || refused.Check != test.check || !strings.Contains(err.Error(), test.words) {
				t.Errorf("after two looks: %v, want %v and %q", err, test.check, test.words)
			}
			test.repair()
			f.look()
			if test.check == atls.CheckPolicy { // each handshake looks at the store for itself
				if _, err := get(t, transport, s.URL); err == nil {
					t.Error("accepted by what one look found")
				}
			}
			f.look()
			accepted("when it is mended", 2)
			for _, line := range logs.FilterLevelExact(zap.ErrorLevel).All() {
				if reason, _ := line.ContextMap()["error"].(string); !strings.Contains(reason, test.words) {
					t.Errorf("logged %v", line)
				}
			}
		})
	}
}

func mustRoot(t *testing.T, path string) []*x509.Certificate {
	t.Helper()
	roots, err := readRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

// TestFollowsWithoutLosses: a rollout, and words in a policy that mean the same, cost no request that is under way.
func TestFollowsWithoutLosses(t *testing.T) {
	e := newEnclave(t)
	entered, release := make(chan struct{}), make(chan struct{})
	s := e.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-release
		}
		echo(w, r)
	}))
	policy := e.policy("policy.yaml")
	transport, logs, verified := follow(t, s.URL, "--policy", policy, "--attestation-root", e.rootFile)
	f := transport.follower
	slow := make(chan error, 1)
	go func() {
		text, err := get(t, transport, s.URL+"/slow")
		if err == nil && text != "heard body" {
			err = errors.New(text)
		}
		slow <- err
	}()
	<-entered
	e.policy("policy.yaml", "# a comment")
	f.look()
	f.look()
	if logs.Len() != 0 || len(f.past) != 0 {
		t.Errorf("a comment was a change: %v", logs.All())
	}
	e.policy("policy.yaml", "max_age_seconds: 7200")
	f.look()
	f.look()
	if logs.Len() != 1 || len(f.past) != 1 {
		t.Errorf("%d past with requests, logged %v", len(f.past), logs.All())
	}
	if text, err := get(t, transport, s.URL+"/quick"); err != nil || text != "heard body" || verified.Load() != 2 {
		t.Errorf("%q, %v, over %d connections", text, err, verified.Load())
	}
	close(release)
	if err := <-slow; err != nil {
		t.Errorf("what was under way: %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.past) != 0 || f.now.calls != 0 {
		t.Errorf("%d past, %d calls", len(f.past), f.now.calls)
	}
}

// TestFollowerEnds with everything that is under way, of earlier policies too, and stays ended.
func TestFollowerEnds(t *testing.T) {
	e := newEnclave(t)
	entered := make(chan struct{}, 2)
	s := e.serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then a server does not notice that its client goes
		entered <- struct{}{}
		<-r.Context().Done()
	}))
	policy := e.policy("policy.yaml")
	transport, _, _ := follow(t, s.URL, "--policy", policy, "--attestation-root", e.rootFile)
	f := transport.follower
	ended := make(chan error, 2)
	for _, line := range []string{"max_age_seconds: 7200", "max_age_seconds: 3600"} {
		go func() { _, err := get(t, transport, s.URL); ended <- err }()
		<-entered
		e.policy("policy.yaml", line)
		f.look()
		f.look()
	}
	if len(f.past) != 2 {
		t.Errorf("%d past", len(f.past))
	}
	transport.Close()
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("answered")
		}
	}
	e.policy("policy.yaml")
	f.look()
	f.look()
	if _, err := get(t, transport, s.URL); !errors.Is(err, errFollowerClosed) {
		t.Errorf("after the end: %v", err)
	}
}
