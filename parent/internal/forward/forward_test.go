package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/shared/pipe"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a forwarder in virtual time: clients dial port 1 of network.
type rig struct {
	network  memvsock.Network
	registry *prometheus.Registry
	logged   *observer.ObservedLogs
	stop     func() // stops and waits
}

func start(t *testing.T, limits Limits, dial func(context.Context) (pipe.Conn, error)) *rig {
	t.Helper()
	return startTo(t, limits, Target{Dial: dial})
}

func startTo(t *testing.T, limits Limits, target Target) *rig {
	t.Helper()
	core, logged := observer.New(zap.InfoLevel)
	r := &rig{registry: prometheus.NewRegistry(), logged: logged}
	f := New(accept.Config{Name: "x", Listen: func() (net.Listener, error) { return r.network.Listen(1) }},
		limits, target, zap.New(core), NewMetrics(r.registry, accept.NewMetrics(r.registry)))
	if err := f.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx, ctx) }()
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
	c, err := r.network.Dial(t.Context(), 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// nonZero gives the samples that are not 0 as name{label values} → value.
func (r *rig) nonZero(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			if v := m.GetCounter().GetValue() + m.GetGauge().GetValue(); v != 0 {
				samples[name] = v
			}
		}
	}
	return samples
}

func TestForwardsBothWaysWithHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The target answers only when its client has said all.
		r := start(t, Limits{MaxConnections: 2, ConnectTimeout: time.Second, IdleTimeout: time.Minute}, func(context.Context) (pipe.Conn, error) {
			near, far := memvsock.Pipe()
			go func() {
				question, _ := io.ReadAll(far)
				_, _ = fmt.Fprintf(far, "%s?", question)
				_ = far.Close()
			}()
			return near, nil
		})
		c := r.connect(t)
		if _, err := c.Write([]byte("why")); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if string(answer) != "why?" || err != nil {
			t.Errorf("answer %q, %v", answer, err)
		}
		_ = c.Close()
		synctest.Wait()
		r.stop()
		want := map[string]float64{
			"containment_parent_connections_accepted_total x":        1,
			"containment_parent_connections_ended_total x closed":    1,
			"containment_parent_forwarded_bytes_total to_target x":   3,
			"containment_parent_forwarded_bytes_total from_target x": 4,
		}
		if diff := cmp.Diff(want, r.nonZero(t)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestIdleConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Limits{MaxConnections: 2, ConnectTimeout: time.Second, IdleTimeout: 15 * time.Minute}, func(context.Context) (pipe.Conn, error) {
			near, _ := memvsock.Pipe()
			return near, nil
		})
		c := r.connect(t)
		began := time.Now()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("read from a silent target gave a byte")
		}
		if took := time.Since(began); took != 15*time.Minute {
			t.Errorf("ended after %v, want the idle time", took)
		}
		r.stop()
		if got := r.nonZero(t)["containment_parent_connections_ended_total x idle"]; got != 1 {
			t.Errorf("%v idle ends counted, want 1", got)
		}
	})
}

func TestCutEndsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Limits{MaxConnections: 2, ConnectTimeout: time.Second}, func(context.Context) (pipe.Conn, error) {
			near, _ := memvsock.Pipe()
			return near, nil
		})
		c := r.connect(t)
		synctest.Wait()
		r.stop()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the connection outlived the forwarder")
		}
		if got := r.nonZero(t)["containment_parent_connections_ended_total x cut"]; got != 1 {
			t.Errorf("%v cuts counted, want 1", got)
		}
	})
}

func TestUnreachableTargetClosesTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Limits{MaxConnections: 2, ConnectTimeout: 10 * time.Second}, func(ctx context.Context) (pipe.Conn, error) {
			<-ctx.Done() // a target that drops packets
			return nil, ctx.Err()
		})
		for range 3 {
			c := r.connect(t)
			began := time.Now()
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("read = %v, want EOF", err)
			}
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("closed after %v, want the connect time", took)
			}
		}
		r.stop()
		if got := r.nonZero(t)["containment_parent_dial_failures_total x timeout"]; got != 3 {
			t.Errorf("%v timeouts counted, want 3", got)
		}
		if n := r.logged.FilterMessage("cannot reach the target; connection closed").Len(); n != 1 {
			t.Errorf("%d lines for one reason, want 1", n)
		}
	})
}

// TestTurnedAway has clients say who they want in one letter: x says nothing, and a reason is told once, whatever its words.
func TestTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		r := startTo(t, Limits{MaxConnections: 2, ConnectTimeout: time.Second, IdleTimeout: time.Second}, Target{
			Dial: func(context.Context) (pipe.Conn, error) {
				near, far := memvsock.Pipe()
				go func() { _, _ = io.Copy(io.Discard, far); _ = far.Close() }()
				return near, nil
			},
			Preface: func(c pipe.Conn) ([]byte, error) {
				letter := make([]byte, 1)
				if _, err := c.Read(letter); err != nil {
					return nil, Refuse(NoHello, err)
				}
				n++
				switch letter[0] {
				case 's':
					return nil, Refuse(ServerName, fmt.Errorf("client %d names another", n))
				case 'n':
					return nil, Refuse(NotTLS, fmt.Errorf("client %d speaks something else", n))
				}
				return letter, nil
			},
		})
		for _, letter := range "sssxnxxnxnoosox-" {
			c := r.connect(t)
			switch letter {
			case 'x':
				_ = c.Close()
			case '-': // silent for as long as it may be
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("read = %v, want EOF", err)
				}
			default:
				if _, err := c.Write([]byte{byte(letter)}); err != nil {
					t.Error(err)
				}
				_ = c.CloseWrite()
				_, _ = c.Read(make([]byte, 1))
			}
			synctest.Wait()
			_ = c.Close()
		}
		r.stop()
		want := map[string]float64{
			"containment_parent_connections_accepted_total x":        16,
			"containment_parent_clients_refused_total x server_name": 4,
			"containment_parent_clients_refused_total x not_tls":     3,
			"containment_parent_clients_refused_total x no_hello":    6,
			"containment_parent_connections_ended_total x closed":    3,
			"containment_parent_forwarded_bytes_total to_target x":   3,
		}
		if diff := cmp.Diff(want, r.nonZero(t)); diff != "" {
			t.Error(diff)
		}
		var told []string
		for _, e := range r.logged.All() {
			if e.Message == "connection refused" || e.Message == "clients are passed on again" {
				told = append(told, fmt.Sprint(e.Message, " ", e.ContextMap()["reason"], " ", e.ContextMap()["failures"]))
			}
		}
		lines := []string{
			"connection refused server_name 1", "connection refused not_tls 4", "clients are passed on again <nil> 6",
			"connection refused server_name 1", "clients are passed on again <nil> 1",
		}
		if diff := cmp.Diff(lines, told); diff != "" {
			t.Error(diff)
		}
	})
}

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		err  error
		want dialFailure
	}{
		{&net.OpError{Op: "dial", Err: &net.DNSError{Name: "no.such", IsNotFound: true}}, failedName},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Name: "slow", IsTimeout: true, UnwrapErr: context.DeadlineExceeded}}, failedTimeout},
		{fmt.Errorf("dial: %w", context.DeadlineExceeded), failedTimeout},
		{fmt.Errorf("dial: %w", syscall.ECONNREFUSED), failedRefused},
		{fmt.Errorf("dial unix: %w", &fs.PathError{Op: "connect", Err: syscall.ENOENT}), failedRefused},
		{fmt.Errorf("dial: %w", syscall.ENODEV), failedUnreachable},
		{fmt.Errorf("dial: %w", syscall.EHOSTUNREACH), failedUnreachable},
		{errors.New("strange"), failedOther},
	} {
		if got := classify(test.err); got != test.want {
			t.Errorf("classify(%v) = %s, want %s", test.err, got, test.want)
		}
	}
}
