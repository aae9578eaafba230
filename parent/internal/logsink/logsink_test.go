package logsink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/lines"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/logging"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output collects lines.
type output struct {
	mu  sync.Mutex
	got bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.got.Write(p)
}

// take returns the lines so far without the parent's own at level info, and forgets them.
func (o *output) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var got []string
	for line := range strings.Lines(o.got.String()) {
		if !strings.HasPrefix(line, `{"level":"info"`) {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	o.got.Reset()
	return got
}

// rig is a sink in virtual time.
type rig struct {
	network memvsock.Network
	sink    *Sink
	out     output
	stop    func()
	cut     func()
	done    chan error
}

func start(t *testing.T, limit int) *rig {
	t.Helper()
	r := &rig{done: make(chan error, 1)}
	w := lines.New(&r.out)
	log, err := logging.New(w, "info")
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	s := New(Config{Network: &r.network, Port: wire.PortLogs, CID: 16, MaxLinesPerSecond: limit}, w, log, accept.NewMetrics(registry), registry)
	r.sink = s
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	cut, cutNow := context.WithCancel(t.Context())
	r.stop, r.cut = stop, cutNow
	go func() { r.done <- s.Run(ctx, cut) }()
	return r
}

func (r *rig) connect(t *testing.T) vsock.Conn {
	t.Helper()
	c, err := r.network.Dial(t.Context(), vsock.CIDParent, wire.PortLogs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// end stops the sink and returns what it wrote since the last take.
func (r *rig) end(t *testing.T) []string {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("Run = %v", err)
	}
	r.cut()
	return r.out.take()
}

func TestLinesOfManyStreamsArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 0)
		var all sync.WaitGroup
		for i := range 4 {
			c := r.connect(t)
			all.Go(func() {
				for j := range 50 {
					_, _ = fmt.Fprintf(c, `{"stream":%d,"line":%d}`+"\n", i, j)
				}
				_ = c.Close()
			})
		}
		all.Wait()
		synctest.Wait()
		next := map[int]int{}
		for _, text := range r.end(t) {
			var line struct{ Stream, Line int }
			if err := json.Unmarshal([]byte(text), &line); err != nil || line.Line != next[line.Stream] {
				t.Fatalf("line %q, want number %d of its stream: %v", text, next[line.Stream], err)
			}
			next[line.Stream]++
		}
		if diff := cmp.Diff(map[int]int{0: 50, 1: 50, 2: 50, 3: 50}, next); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOddLinesAreTold(t *testing.T) {
	type told struct {
		Level, Message, Process, Text, Error string
		KeptBytes                            int `json:"kept_bytes"`
		MissingBytes                         int `json:"missing_bytes"`
	}
	const notJSON = "log line of the enclave is not a JSON object"
	long := `{"m":"` + strings.Repeat("x", wire.MaxLogLine) + `"}`
	padded := `{}` + strings.Repeat(" ", wire.MaxLogLine) + `no JSON`
	for _, test := range []struct {
		name, sent string
		want       told
	}{
		{"text", "panic: oops\n", told{Message: notJSON, Text: "panic: oops", KeptBytes: 11}},
		{"empty", "\n", told{Message: notJSON}},
		{"list", "[1]\n", told{Message: notJSON, Text: "[1]", KeptBytes: 3}},
		{"two objects", `{"level":"info"}{"process":"parent"}` + "\n", told{Message: notJSON, Text: `{"level":"info"}{"process":"parent"}`, KeptBytes: 36}},
		{"terminal codes", "\x1b[2J\x9b\n", told{Message: notJSON, Text: `\u001b[2J\u009b`, KeptBytes: 5}},
		{"truncated", `{"a":`, told{Message: "log line of the enclave ended early", Text: `{"a":`, KeptBytes: 5, Error: "log stream ended within a line"}},
		{"truncated but complete", `{"a":1}`, told{Message: "log line of the enclave ended early", Text: `{"a":1}`, KeptBytes: 7, Error: "log stream ended within a line"}},
		{"too long", long + "\n", told{Message: "log line of the enclave is too long", Text: long[:wire.MaxLogLine-1], KeptBytes: wire.MaxLogLine - 1, MissingBytes: len(long) - wire.MaxLogLine + 1}},
		{"too long behind an object", padded + "\n", told{Message: "log line of the enclave is too long", Text: padded[:wire.MaxLogLine-1], KeptBytes: wire.MaxLogLine - 1, MissingBytes: len(padded) - wire.MaxLogLine + 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, 100)
				c := r.connect(t)
				_, _ = io.WriteString(c, test.sent)
				_ = c.Close()
				synctest.Wait()
				got := r.end(t)
				if len(got) != 1 {
					t.Fatalf("%d lines: %.300q", len(got), got)
				}
				var line told
				if err := json.Unmarshal([]byte(got[0]), &line); err != nil {
					t.Fatalf("%q: %v", got[0], err)
				}
				test.want.Level, test.want.Process = "warn", "parent"
				if diff := cmp.Diff(test.want, line); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestControlCharactersInsideJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 0)
		c := r.connect(t)
		_, _ = io.WriteString(c, "{\"m\":\"a\x1b[2J\x7f\u0085\xff\"}\n")
		_ = c.Close()
		synctest.Wait()
		want := []string{`{"m":"a\u001b[2J\u007f\u0085\u00ff"}`}
		if diff := cmp.Diff(want, r.end(t)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSecondParentIsToldOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 0)
		registry := prometheus.NewRegistry()
		second := New(Config{Network: &r.network, Port: wire.PortLogs, CID: 16}, lines.New(io.Discard), zap.NewNop(), accept.NewMetrics(registry), registry)
		err := second.Bind()
		if want := "logs: another parent runs on this node (port 7000): listen on mem port 7000: "; !errors.Is(err, syscall.EADDRINUSE) ||
			!strings.HasPrefix(err.Error(), want) {
			t.Errorf("Bind = %v, want %s and the cause", err, want)
		}
		r.end(t)
	})
}

func TestLimitIsPerSecondAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 3)
		c := r.connect(t)
		send := func(n int) {
			for range n {
				_, _ = io.WriteString(c, "{}\n")
			}
			synctest.Wait()
		}
		send(10)
		if diff := cmp.Diff([]string{"{}", "{}", "{}"}, r.out.take()); diff != "" {
			t.Errorf("first second:\n%s", diff)
		}
		<-time.After(1100 * time.Millisecond)
		got := r.out.take()
		if len(got) != 1 || !strings.Contains(got[0], `"message":"log lines of the enclave dropped"`) || !strings.Contains(got[0], `"dropped":7`) {
			t.Errorf("after the first second: %q", got)
		}
		send(4)
		_ = c.Close()
		synctest.Wait()
		got = r.end(t)
		if len(got) != 4 || got[2] != "{}" || !strings.Contains(got[3], `"dropped":1`) {
			t.Errorf("second second: %q", got)
		}
		if n := testutil.ToFloat64(r.sink.metrics.dropped); n != 8 {
			t.Errorf("%v lines counted as dropped, want 8", n)
		}
	})
}

func TestShutdownTakesTheLastLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 0)
		c := r.connect(t)
		synctest.Wait()
		stopped := time.Now()
		r.stop()
		for i := range 5 {
			<-time.After(quiet - time.Millisecond)
			if _, err := fmt.Fprintf(c, `{"last":%d}`+"\n", i); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-r.done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if took, want := time.Since(stopped), 6*quiet-5*time.Millisecond; took != want {
			t.Errorf("ended after %v, want %v", took, want)
		}
		if got := r.out.take(); len(got) != 5 {
			t.Errorf("lines %q, want 5", got)
		}
		_ = c.Close()
		r.cut()
	})
}

func TestCutEndsABusyStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 0)
		c := r.connect(t)
		synctest.Wait()
		r.stop()
		synctest.Wait()
		r.cut()
		if err := <-r.done; err != nil {
			t.Errorf("Run = %v", err)
		}
		_ = c.Close()
	})
}
