package boot

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// echo answers hello and heartbeats until the connection ends, and counts the heartbeats.
func echo(beats *atomic.Int64) func(net.Conn) {
	return func(c net.Conn) {
		for {
			m, err := wire.ReadMessage(c)
			if err != nil {
				return
			}
			switch m := m.(type) {
			case wire.Hello:
				_ = wire.WriteMessage(c, wire.Heartbeat{})
				if !m.Configured {
					return
				}
			case wire.Heartbeat:
				beats.Add(1)
				_ = wire.WriteMessage(c, m)
			case wire.Configuration, wire.Acknowledgement, wire.Refusal:
				return
			}
		}
	}
}

// connected makes a session whose parent treats the connection with answer.
func connected(t *testing.T, network vsock.Network, answer func(net.Conn)) (s *Session, parentEnded chan struct{}) {
	t.Helper()
	near, far := memvsock.Pipe()
	parentEnded = make(chan struct{})
	go func() {
		defer close(parentEnded)
		defer far.Close()
		answer(far)
	}()
	return &Session{network: network, conn: near, digest: [48]byte{1, 2, 3}}, parentEnded
}

func run(ctx context.Context, s *Session) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return func() error { cancel(); return <-ended }
}

func TestHeartbeats(t *testing.T) {
	bubble(t, 0, func(ctx context.Context, t *testing.T) {
		var beats atomic.Int64
		s, parentEnded := connected(t, nil, echo(&beats))
		log, logs := observed()
		s.log = log
		stop := run(ctx, s)
		pass(10*wire.HeartbeatEvery + time.Second)
		if got := beats.Load(); got != 11 {
			t.Errorf("%d heartbeats in 51 s, want 11", got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		<-parentEnded
		if logs.Len() != 0 {
			t.Errorf("logged %v", logs.All())
		}
	})
}

func TestHeartbeatLostAndRecovered(t *testing.T) {
	const prefix = "boot service does not answer: parent's boot service (vsock port 7001)"
	other := [48]byte{9, 9}
	for _, tc := range []struct {
		name   string
		first  func(net.Conn) // what the parent does on the connection that carried the configuration
		reason string
	}{
		{"closes", func(c net.Conn) { _, _ = wire.ReadMessage(c); pass(time.Second) }, prefix + ", answering a heartbeat: closed by it: EOF"},
		{"hangs", hang, prefix + ", answering a heartbeat: it hangs, nothing whole within 15s: read pipe: i/o timeout"},
		{
			"wrong digest", func(c net.Conn) { after(encoded(t, wire.Heartbeat{Digest: other}))(c); hang(c) },
			prefix + " answered a heartbeat with digest 0909000000000000… instead of 0102030000000000…",
		},
		{
			"wrong message", func(c net.Conn) { after(encoded(t, wire.Configuration{YAML: []byte("evil: true")}))(c); hang(c) },
			prefix + " answered with a configuration",
		},
		{
			"refusal", func(c net.Conn) { after(encoded(t, wire.Refusal{Reason: "go away"}))(c); hang(c) },
			prefix + ` refused: "go away"`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, 0, func(ctx context.Context, t *testing.T) {
				var network memvsock.Network
				var beats atomic.Int64
				s, firstEnded := connected(t, &network, tc.first)
				log, logs := observed()
				s.log = log
				stop := run(ctx, s)
				pass(time.Minute) // without any listener
				if beats.Load() != 0 {
					t.Error("heartbeats were answered")
				}
				stopService := service(t, &network, echo(&beats))
				pass(2 * maxPause)
				if beats.Load() == 0 {
					t.Error("not recovered")
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
				<-firstEnded
				stopService()
				want := []string{
					tc.reason,
					"boot service does not answer: connect to the parent's boot service: dial mem://3:7001: connection refused",
					"boot service answers: <nil>",
				}
				if diff := cmp.Diff(want, messages(logs, "error")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A parent that hands out another configuration, or refuses, does not end a signer that has one.
func TestParentCannotEndRun(t *testing.T) {
	for name, m := range map[string]wire.Message{
		"configuration": wire.Configuration{YAML: []byte("other: true")},
		"refusal":       wire.Refusal{Reason: "not you"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 0, func(ctx context.Context, t *testing.T) {
				var network memvsock.Network
				defer service(t, &network, after(encoded(t, m)))()
				log, logs := observed()
				stop := run(ctx, &Session{network: &network, log: log})
				pass(time.Hour)
				if logs.Len() != 1 {
					t.Errorf("one reason was logged %d times", logs.Len())
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRunEndsWhileWaiting(t *testing.T) {
	bubble(t, 0, func(ctx context.Context, t *testing.T) {
		s, parentEnded := connected(t, nil, hang)
		log, logs := observed()
		s.log = log
		stop := run(ctx, s)
		pass(time.Second) // it waits for an answer
		began := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
		<-parentEnded
		if logs.Len() != 0 {
			t.Errorf("logged %v", logs.All())
		}
	})
}

func TestRefuse(t *testing.T) {
	bubble(t, 0, func(_ context.Context, t *testing.T) {
		var got wire.Message
		var end error
		s, parentEnded := connected(t, nil, func(c net.Conn) {
			got, _ = wire.ReadMessage(c)
			_, end = c.Read(make([]byte, 1))
		})
		if err := s.Refuse("log.levle: unknown key"); err != nil {
			t.Error(err)
		}
		<-parentEnded
		if diff := cmp.Diff(wire.Message(wire.Refusal{Reason: "log.levle: unknown key"}), got); diff != "" {
			t.Error(diff)
		}
		if !errors.Is(end, io.EOF) {
			t.Errorf("the connection ended with %v", end)
		}
		for _, err := range []error{s.Refuse("again"), s.Acknowledge(t.Context(), [48]byte{})} {
			if !errors.Is(err, errClosed) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestAcknowledgeToAParentThatHangs(t *testing.T) {
	bubble(t, 0, func(ctx context.Context, t *testing.T) {
		near, far := memvsock.Pipe() // nobody reads the far end
		defer far.Close()
		s := &Session{conn: near}
		err := s.Acknowledge(ctx, [48]byte{})
		if err == nil || !strings.HasPrefix(err.Error(), "parent's boot service (vsock port 7001), sent an acknowledgement: it hangs, nothing whole within 10s") {
			t.Errorf("got %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
