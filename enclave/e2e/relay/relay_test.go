package main

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPerRepeatComparesWithinARepeat(t *testing.T) {
	s := samples{"a": {2, 20, 300}, "b": {1, 10, 100}}
	if got := s.perRepeat("a", "b"); got != 2 {
		t.Errorf("%v, want 2, the median of 2, 2 and 3", got)
	}
	if got := s.perRepeat("a", "nobody"); got != 0 {
		t.Errorf("against nobody: %v", got)
	}
}

// TestBareRelay has the yardstick carry what the forwarder carries: an echo, and a stream of which every byte arrives.
func TestBareRelay(t *testing.T) {
	s, err := listen(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	all.Go(func() {
		if err := serveBare(ctx, l, s.path); err != nil {
			t.Error(err)
		}
	})
	if err := once(t.Context(), address); err != nil {
		t.Error(err)
	}
	c, err := dialSink(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	sending, enough := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer enough()
	if err := stream(sending, c); err != nil {
		t.Error(err)
	}
	stop()
	all.Wait()
	if err := s.close(); err != nil || s.sunk.Load() == 0 {
		t.Errorf("%d bytes arrived; %v", s.sunk.Load(), err)
	}
}

func TestFlat(t *testing.T) {
	before := held{resident: 30 << 20, files: 20, goroutines: 40}
	if err := (held{44 << 20, 28, 56, 0}).flat(before); err != nil {
		t.Errorf("within the limits: %v", err)
	}
	for name, h := range map[string]held{"resident memory": {46 << 20, 20, 40, 0}, "open files": {30 << 20, 29, 40, 0}, "goroutines": {30 << 20, 20, 57, 0}} {
		if err := h.flat(before); err == nil || !strings.Contains(err.Error(), name+" grew") {
			t.Errorf("more of %s: %v", name, err)
		}
	}
}

func TestReport(t *testing.T) {
	all := contestants("proxy", "self", "/s")[:2]
	figures := samples{"forwarder": {90}, "bare relay": {100}}
	same := map[string]latencies{direct: {[]float64{1e-5}, []float64{2e-5}}, "forwarder": {[]float64{3e-5}, []float64{9e-5}}, "bare relay": {[]float64{3e-5}, []float64{9e-5}}}
	var out bytes.Buffer
	report(&out, all, map[int]samples{1: figures, 64: figures}, figures, map[int]map[string]latencies{1: same, 100: same, 1000: same}, 10<<10)
	for _, want := range []string{"0.90 x bare relay", "target at least 0.95: missed", "p50   20 µs, p99    70 µs: forwarder", "10.0 KiB resident  (target at most 16: met)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
