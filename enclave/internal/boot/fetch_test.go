package boot

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// service is a boot service that treats each connection in turn with the next of its answers, the last for all others.
func service(t *testing.T, network *memvsock.Network, answers ...func(net.Conn)) (stop func()) {
	t.Helper()
	l, err := network.Listen(wire.PortBoot)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answers[min(i, len(answers)-1)](c)
			c.Close()
		}
	}()
	return func() { l.Close(); <-ended }
}

// after reads a message and then sends raw bytes.
func after(raw []byte) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = wire.ReadMessage(c)
		_, _ = c.Write(raw)
	}
}

func hang(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func closeAfterHello(c net.Conn) {
	_, _ = wire.ReadMessage(c)
	pass(time.Millisecond) // until the other end reads
}

func encoded(t *testing.T, m wire.Message) []byte {
	t.Helper()
	var b strings.Builder
	if err := wire.WriteMessage(&b, m); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

func header(kind byte, size uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, size)
}

func TestFetch(t *testing.T) {
	bubble(t, time.Minute, func(ctx context.Context, t *testing.T) {
		var network memvsock.Network
		var hello, ack wire.Message
		yaml := []byte(strings.Repeat("a: b\n", wire.MaxConfiguration/5))
		stop := service(t, &network, func(c net.Conn) {
			hello, _ = wire.ReadMessage(c)
			_ = wire.WriteMessage(c, wire.Configuration{YAML: yaml})
			ack, _ = wire.ReadMessage(c)
		})
		log, logs := observed()
		s, got, err := Fetch(ctx, &network, log)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, yaml) {
			t.Errorf("got %d bytes, want %d", len(got), len(yaml))
		}
		if err := s.Acknowledge(ctx, [48]byte{7}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		stop()
		if diff := cmp.Diff([]wire.Message{wire.Hello{Version: wire.Version}, wire.Acknowledgement{Digest: [48]byte{7}}}, []wire.Message{hello, ack}); diff != "" {
			t.Error(diff)
		}
		if logs.Len() != 0 {
			t.Errorf("logged %v", logs.All())
		}
	})
}

func TestFetchIsRefused(t *testing.T) {
	const peer = "fetch the configuration: the boot service will not give a configuration: parent's boot service (vsock port 7001) "
	for _, tc := range []struct {
		name   string
		answer []byte
		want   string
	}{
		{"version", encoded(t, wire.Refusal{Reason: "speaks version 2,\nnot 1"}), peer + `refused: "speaks version 2,\nnot 1"`},
		{"heartbeat", encoded(t, wire.Heartbeat{}), peer + "answered with a heartbeat"},
		{"hello", encoded(t, wire.Hello{}), peer + "answered with hello"},
		{
			"10 MiB", header(2, 10<<20),
			"fetch the configuration: parent's boot service (vsock port 7001), answering hello: the boot service will not give a configuration: " +
				"message too large: configuration of 10485760 bytes, limit 1048576",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, time.Minute, func(ctx context.Context, t *testing.T) {
				var network memvsock.Network
				defer service(t, &network, after(tc.answer))()
				began := time.Now()
				log, _ := observed()
				s, yaml, err := Fetch(ctx, &network, log)
				if s != nil || yaml != nil || !errors.Is(err, ErrRefused) || err.Error() != tc.want {
					t.Errorf("got %v\nwant %s", err, tc.want)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestFetchGivesUpWithTheReason(t *testing.T) {
	const peer = "fetch the configuration: parent's boot service (vsock port 7001), answering hello: "
	for _, tc := range []struct {
		name   string
		limit  time.Duration
		answer func(net.Conn)
		want   string
	}{
		{"hangs", time.Minute, hang, peer + "it hangs, nothing whole within 10s: "},
		{"hangs beyond a short limit", 2 * time.Second, hang, peer + "context deadline exceeded"},
		{"hangs within a message", time.Minute, func(c net.Conn) { after(header(2, 100))(c); hang(c) }, peer + "it hangs, nothing whole within 10s: "},
		{"truncated", time.Minute, after(append(header(2, 100), "half"...)), peer + "read configuration of 100 bytes: unexpected EOF"},
		{"truncated header", time.Minute, after([]byte{2, 0}), peer + "unexpected EOF"},
		{"closes", time.Minute, func(net.Conn) {}, "fetch the configuration: parent's boot service (vsock port 7001), sent hello: io: read/write on closed pipe"},
		{"closes after hello", time.Minute, closeAfterHello, peer + "closed by it: EOF"},
		{"garbage", time.Minute, after([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")), peer + "unknown message kind 72"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, tc.limit, func(ctx context.Context, t *testing.T) {
				var network memvsock.Network
				defer service(t, &network, tc.answer)()
				began := time.Now()
				log, logs := observed()
				s, yaml, err := Fetch(ctx, &network, log)
				if s != nil || yaml != nil || err == nil || !strings.HasPrefix(err.Error(), tc.want) {
					t.Errorf("got %v\nwant %s", err, tc.want)
				}
				if took := time.Since(began); took != tc.limit {
					t.Errorf("took %v, want %v", took, tc.limit)
				}
				if logs.Len() > 1 {
					t.Errorf("one reason was logged %d times", logs.Len())
				}
			})
		})
	}
}

func TestParentThatComesLate(t *testing.T) {
	bubble(t, time.Minute, func(ctx context.Context, t *testing.T) {
		var network memvsock.Network
		log, logs := observed()
		p := NewProgress()
		ended := make(chan error, 1)
		go func() {
			ended <- Run(ctx, log, p, []Stage{{Name: "configuration", Limit: time.Minute, Run: func(ctx context.Context) error {
				s, yaml, err := Fetch(ctx, &network, log)
				if err != nil {
					return err
				}
				if string(yaml) != "a: b" {
					t.Errorf("got %q", yaml)
				}
				return s.Close()
			}}})
		}()
		pass(20 * time.Second)
		if stage, reason, _ := p.Missing(); stage != "configuration" || !errors.Is(reason, syscall.ECONNREFUSED) {
			t.Errorf("progress is %q, %v", stage, reason)
		}
		stop := service(t, &network, closeAfterHello, after(encoded(t, wire.Configuration{YAML: []byte("a: b")})))
		if err := <-ended; err != nil {
			t.Error(err)
		}
		stop()
		want := []string{
			"boot service does not answer: connect to the parent's boot service: dial mem://3:7001: connection refused",
			"boot service does not answer: parent's boot service (vsock port 7001), answering hello: closed by it: EOF",
			"boot service answers: <nil>", "stage done: <nil>",
		}
		if diff := cmp.Diff(want, messages(logs, "error")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPausesBetweenTries(t *testing.T) {
	bubble(t, time.Minute, func(ctx context.Context, t *testing.T) {
		var network memvsock.Network
		var tries []time.Time
		defer service(t, &network, func(c net.Conn) {
			tries = append(tries, time.Now())
			closeAfterHello(c)
		})()
		log, _ := observed()
		if _, _, err := Fetch(ctx, &network, log); err == nil {
			t.Fatal("no error")
		}
		if len(tries) < 12 {
			t.Fatalf("%d tries in a minute", len(tries))
		}
		want := minPause
		for i := 1; i < len(tries); i++ {
			if got := tries[i].Sub(tries[i-1]); got < want*8/10 || got > want*12/10+time.Millisecond {
				t.Errorf("pause %d is %v, want %v ±20%%", i, got, want)
			}
			want = min(2*want, maxPause)
		}
	})
}
