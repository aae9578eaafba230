package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
)

// tooLong is what never takes as long: a test that waits fails then.
const tooLong = 60 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func limits(t testing.TB, requests int) *Limits {
	t.Helper()
	l, err := NewLimits(requests, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// rig is a server in memory, which also runs in virtual time.
type rig struct {
	t      *testing.T
	limits *Limits
	server *Server
	dial   func() net.Conn
}

const rigPort = 9443

func inMemory(t *testing.T, l *Limits, h http.Handler) *rig {
	t.Helper()
	network := &memvsock.Network{}
	listener, err := network.Listen(rigPort)
	if err != nil {
		t.Fatal(err)
	}
	return serveRig(t, l, h, listener, func() net.Conn {
		c, err := network.Dial(t.Context(), 0, rigPort)
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
}

func overTCP(t *testing.T, l *Limits, h http.Handler) *rig {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveRig(t, l, h, listener, func() net.Conn {
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(tooLong))
		return c
	})
}

// serveRig serves until the test ends. Connections that the test dials end with it too.
func serveRig(t *testing.T, l *Limits, h http.Handler, listener net.Listener, dial func() net.Conn) *rig {
	t.Helper()
	s, err := NewServer("test", listener, h, nil, 0, l, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	var open atomic.Int64
	s.http.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		case http.StateActive, http.StateIdle, http.StateHijacked:
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		await(t, func() bool { return open.Load() == 0 }) // net/http does not wait for what it cuts
	})
	return &rig{t: t, limits: l, server: s, dial: func() net.Conn {
		c := dial()
		t.Cleanup(func() { _ = c.Close() })
		return c
	}}
}

// peer is one connection of a client.
type peer struct {
	t *testing.T
	net.Conn
	read *bufio.Reader
}

func (r *rig) connect() *peer {
	c := r.dial()
	return &peer{t: r.t, Conn: c, read: bufio.NewReader(c)}
}

// send writes as much as the server takes.
func (p *peer) send(format string, args ...any) {
	_, _ = fmt.Fprintf(p.Conn, format, args...)
}

// post sends a whole request.
func (p *peer) post(path, body string) {
	p.send("POST %s HTTP/1.1\r\nHost: signer\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

func (p *peer) get(path string) {
	p.send("GET %s HTTP/1.1\r\nHost: signer\r\n\r\n", path)
}

// answer reads one response; a refusal must be in the form of every refusal.
func (p *peer) answer() (int, string, http.Header) {
	p.t.Helper()
	res, err := http.ReadResponse(p.read, nil)
	if err != nil {
		p.t.Fatalf("no answer: %v", err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatalf("half an answer: %v", err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		var says refusal
		if err := json.Unmarshal(text, &says); err != nil || says.Code != res.StatusCode || says.Message == "" || says.Error != says.Message {
			p.t.Errorf("refusal %q: %v", text, err)
		}
		if (res.StatusCode == http.StatusServiceUnavailable) != (res.Header.Get("Retry-After") != "") {
			p.t.Errorf("%d with Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
		}
	}
	return res.StatusCode, string(text), res.Header
}

// ended reads until the server has closed the connection.
func (p *peer) ended() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.read); err == nil && len(rest) > 0 {
		p.t.Errorf("more came: %q", rest)
	}
}

// echo answers with the size of the body, or with why there is none.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := ReadBody(r)
	if err != nil {
		WriteProblem(w, err)
		return
	}
	_, _ = io.WriteString(w, strconv.Itoa(len(body))+" bytes")
}

func repeat(n int) string { return strings.Repeat("x", n) }
