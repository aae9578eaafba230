package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestFloods is one repeat over a real signer and a real flood.
func TestFloods(t *testing.T) {
	f := &floods{dir: t.TempDir(), chain: testChain(t)}
	defer func() {
		if err := f.stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := f.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.repeat(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	for name, all := range map[string][]calm{"quiet": f.quiet, "checked": f.checked, "flooded": f.flooded} {
		if len(all) != 1 || all[0].signatures == 0 || all[0].failures != 0 || all[0].p50 <= 0 || all[0].p99 < all[0].p50 {
			t.Errorf("%s: %+v", name, all)
		}
	}
	if f.asked.Connections == 0 || f.asked.Answered == 0 || f.asked.Refused == 0 {
		t.Errorf("the flood got %+v", f.asked)
	}
}

func TestPunctuality(t *testing.T) {
	at := func(times ...time.Duration) (all []time.Time) {
		for _, d := range times {
			all = append(all, time.Unix(1000, 0).Add(d))
		}
		return all
	}
	const s, ms = time.Second, time.Millisecond
	for _, test := range []struct {
		name          string
		before, after []time.Time
		now           time.Duration
		want          calm
	}{
		{"none due", at(0), at(0), s, calm{}},
		{"all on time", at(0), at(0, s, 2*s+50*ms), 3 * s, calm{punctual: 2, longest: s + 50*ms}},
		{"one late", at(0), at(0, s, 2*s+101*ms), 3 * s, calm{punctual: 1, late: 1, longest: s + 101*ms}},
		{"one missing", at(0, s), at(0, s), 3 * s, calm{late: 1, longest: 2 * s}},
	} {
		got := punctuality(test.before, test.after, at(test.now)[0])
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(calm{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// notifying is a writer that tells of the first write.
type notifying struct {
	mu   sync.Mutex
	text bytes.Buffer
	once sync.Once
	told chan struct{}
}

func (n *notifying) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.once.Do(func() { close(n.told) })
	return n.text.Write(p)
}

// muted serves over TLS until the test ends, and says nothing of connections that end early.
func muted(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestFlooder(t *testing.T) {
	var made, refused atomic.Int64
	s := muted(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "/proof?nonce=1" {
			t.Errorf("asked for %s", r.RequestURI)
		}
		if made.Add(1) > 10 {
			refused.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	ctx, cancel := context.WithCancel(t.Context())
	out := &notifying{told: make(chan struct{})}
	go func() {
		<-out.told
		cancel()
	}()
	var stderr bytes.Buffer
	if err := runFlood(ctx, []string{"-address", s.Listener.Addr().String(), "-path", "/proof?nonce=1"}, out, &stderr); err != nil {
		t.Fatal(err, stderr.String())
	}
	begun, rest, _ := strings.Cut(out.text.String(), "\n")
	var got tally
	if err := json.Unmarshal([]byte(rest), &got); err != nil || begun != floodBegun {
		t.Fatalf("wrote %q: %v", out.text.String(), err)
	}
	if got.Answered != 10 || got.Refused < floodFirst-10 || got.Refused > refused.Load() || got.Connections < (got.Answered+got.Refused)/floodRequests {
		t.Errorf("%+v of %d refused", got, refused.Load())
	}
}

// TestFlooderFails: an answer that nobody thought of, and a signer that is not there, are no flood.
func TestFlooderFails(t *testing.T) {
	s := muted(t, http.NotFoundHandler())
	for address, failure := range map[string]string{s.Listener.Addr().String(): "404", "127.0.0.1:0": "127.0.0.1:0"} {
		var out bytes.Buffer
		expect(t, address, runFlood(t.Context(), []string{"-address", address, "-path", "/"}, &out, &out), failure)
	}
}
