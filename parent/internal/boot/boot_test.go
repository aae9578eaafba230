package boot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var digest = [wire.DigestSize]byte{1, 2, 3}

// rig is a service in virtual time.
type rig struct {
	*Service
	network  memvsock.Network
	registry *prometheus.Registry
	logged   *observer.ObservedLogs
	stop     func() // stops and waits
}

func start(t *testing.T) *rig {
	t.Helper()
	core, logged := observer.New(zap.InfoLevel)
	r := &rig{registry: prometheus.NewRegistry(), logged: logged}
	r.Service = New(Config{Network: &r.network, Port: wire.PortBoot, CID: 16, Configuration: []byte("network: hoodi\n")},
		zap.New(core), accept.NewMetrics(r.registry), r.registry)
	if err := r.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx, t.Context()) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
	return r
}

func (r *rig) connect(t *testing.T) vsock.Conn {
	t.Helper()
	c, err := r.network.Dial(t.Context(), vsock.CIDParent, wire.PortBoot)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// gauge is the value of containment_parent_enclave_alive.
func (r *rig) gauge(t *testing.T) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "containment_parent_enclave_alive" {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("no gauge")
	return 0
}

// messages gives the lines logged so far.
func (r *rig) messages() []string {
	var got []string
	for _, e := range r.logged.All() {
		if e.Message != "listening" {
			got = append(got, e.Message)
		}
	}
	return got
}

// exchange sends m and returns the answer.
func exchange(t *testing.T, c io.ReadWriter, m wire.Message) wire.Message {
	t.Helper()
	if err := wire.WriteMessage(c, m); err != nil {
		t.Fatal(err)
	}
	answer, err := wire.ReadMessage(c)
	if err != nil {
		t.Fatalf("answer to %T: %v", m, err)
	}
	return answer
}

// configured is a connection behind the handover.
func (r *rig) configured(t *testing.T) vsock.Conn {
	t.Helper()
	c := r.connect(t)
	got := exchange(t, c, wire.Hello{Version: wire.Version})
	if diff := cmp.Diff(wire.Configuration{YAML: []byte("network: hoodi\n")}, got); diff != "" {
		t.Fatal(diff)
	}
	if err := wire.WriteMessage(c, wire.Acknowledgement{Digest: digest}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHandover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		if err := r.Ready(); err == nil || err.Error() != "no enclave has acknowledged its configuration yet" {
			t.Errorf("Ready before the handover = %v", err)
		}
		c := r.configured(t)
		for range 10 {
			<-time.After(wire.HeartbeatEvery)
			if got := exchange(t, c, wire.Heartbeat{Digest: digest}); got != (wire.Heartbeat{Digest: digest}) {
				t.Fatalf("answer to a heartbeat: %v", got)
			}
		}
		if err := r.Ready(); err != nil || r.gauge(t) != 1 {
			t.Errorf("Ready = %v, gauge %v", err, r.gauge(t))
		}
		_ = c.Close()
		synctest.Wait()
		want := []string{
			"enclave acknowledged its configuration", "the enclave is there",
			"heartbeat of the enclave is lost", "enclave closed its boot connection",
		}
		if diff := cmp.Diff(want, r.messages()); diff != "" {
			t.Error(diff)
		}
		r.stop()
	})
}

// TestSlowEnclaveIsWaitedFor gives the enclave what its own stages may take: 10 s to parse, 30 s for the security module.
func TestSlowEnclaveIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		c := r.connect(t)
		exchange(t, c, wire.Hello{Version: wire.Version})
		<-time.After(45 * time.Second)
		if err := wire.WriteMessage(c, wire.Acknowledgement{Digest: digest}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if err := r.Ready(); err != nil {
			t.Errorf("Ready = %v", err)
		}
		_ = c.Close()
		r.stop()
	})
}

func TestHeartbeatLostAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		c := r.configured(t)
		<-time.After(wire.HeartbeatLost - time.Millisecond)
		if err := r.Ready(); err != nil {
			t.Errorf("Ready just before the loss = %v", err)
		}
		<-time.After(2 * time.Millisecond)
		synctest.Wait()
		if err := r.Ready(); err == nil || err.Error() != "no heartbeat of the enclave for 15s" || r.gauge(t) != 0 {
			t.Errorf("Ready after the loss = %v, gauge %v", err, r.gauge(t))
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the silent connection gives %v, want EOF", err)
		}
		_ = c.Close()

		c = r.connect(t)
		if got := exchange(t, c, wire.Hello{Version: wire.Version, Configured: true}); got != (wire.Heartbeat{Digest: digest}) {
			t.Errorf("answer to a configured enclave: %v", got)
		}
		exchange(t, c, wire.Heartbeat{Digest: digest})
		if err := r.Ready(); err != nil {
			t.Errorf("Ready after the return = %v", err)
		}
		r.stop()
		_ = c.Close()
		want := []string{
			"enclave acknowledged its configuration", "the enclave is there", "heartbeat of the enclave is lost", "boot conversation failed",
			"enclave is back; it has its configuration", "boot conversation works again", "heartbeat of the enclave is back",
		}
		if diff := cmp.Diff(want, r.messages()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestParentThatRestartedKnowsTheEnclaveAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		c := r.connect(t)
		if got := exchange(t, c, wire.Hello{Version: wire.Version, Configured: true}); got != (wire.Heartbeat{}) {
			t.Errorf("answer %v, want a heartbeat without digest", got)
		}
		if r.Ready() == nil {
			t.Error("ready before the first heartbeat")
		}
		exchange(t, c, wire.Heartbeat{Digest: digest})
		if err := r.Ready(); err != nil {
			t.Errorf("Ready = %v", err)
		}
		r.stop()
		_ = c.Close()
	})
}

// TestBadConversations expects each to end by itself within a time, with these words in the log.
func TestBadConversations(t *testing.T) {
	message := func(m wire.Message) []byte {
		var b bytes.Buffer
		if err := wire.WriteMessage(&b, m); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	hello := message(wire.Hello{Version: wire.Version})
	const other = "the enclave speaks version 9 of the boot protocol, the parent version 1: run both from one release"
	for _, test := range []struct {
		name    string
		sent    []byte
		within  time.Duration
		refusal string
		want    string
	}{
		{"silence", nil, stepTimeout, "", "wait for hello: "},
		{"half a hello", hello[:3], stepTimeout, "", "wait for hello: "},
		{"garbage", []byte("GET / HTTP/1.1\r\n\r\n"), 0, "", "wait for hello: unknown message kind 71"},
		{"huge message", []byte{1, 0xff, 0xff, 0xff, 0xff}, 0, "", "wait for hello: message too large: hello of 4294967295 bytes, limit 3"},
		{"no hello", message(wire.Heartbeat{}), 0, "the enclave sent wire.Heartbeat, want hello", "the enclave sent wire.Heartbeat, want hello"},
		{"another version", message(wire.Hello{Version: 9}), 0, other, other},
		{"no acknowledgement", hello, acknowledgeTimeout, "", "wait for the acknowledgement: "},
		{"refusal", slices.Concat(hello, message(wire.Refusal{Reason: "configuration:3: netwrok: unknown key"})), 0, "", "the enclave refused: configuration:3: netwrok: unknown key"},
		{"heartbeat too early", slices.Concat(hello, message(wire.Heartbeat{})), 0, "", "the enclave sent wire.Heartbeat, want an acknowledgement"},
		{"hello twice", slices.Concat(hello, message(wire.Acknowledgement{}), hello), 0, "", "the enclave sent wire.Hello, want a heartbeat"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t)
				c := r.connect(t)
				began := time.Now()
				go func() { _, _ = c.Write(test.sent) }()
				refusal := ""
				for {
					m, err := wire.ReadMessage(c)
					if err != nil {
						break
					}
					if said, ok := m.(wire.Refusal); ok {
						refusal = said.Reason
					}
				}
				if took := time.Since(began); took != test.within {
					t.Errorf("ended after %v, want %v", took, test.within)
				}
				if refusal != test.refusal {
					t.Errorf("refusal %q, want %q", refusal, test.refusal)
				}
				_ = c.Close()
				synctest.Wait()
				failed := r.logged.FilterMessage("boot conversation failed").All()
				if len(failed) != 1 || !strings.HasPrefix(failed[0].ContextMap()["error"].(string), test.want) {
					t.Errorf("logged %v, want %q", failed, test.want)
				}
				r.stop()
			})
		})
	}
}
