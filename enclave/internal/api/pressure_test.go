package api

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// badPeers are the ways to hold a connection, each with what it sends before it falls silent. None reads.
var badPeers = map[string]string{
	"half open":        "",
	"dribbles headers": "POST /sign HTTP/1.1\r\nHost: sig",
	"dribbles a body":  "POST /sign HTTP/1.1\r\nHost: signer\r\nContent-Length: 1000\r\n\r\n{",
	"no signature":     "POST /sign HTTP/1.1\r\nHost: signer\r\nContent-Length: 4\r\n\r\nbody",
	"no batch":         "POST /batch HTTP/1.1\r\nHost: signer\r\nContent-Length: 4\r\n\r\nbody",
	"no refusal":       "POST /refused HTTP/1.1\r\nHost: signer\r\nContent-Length: 4\r\n\r\nbody",
	"no keys":          "GET /publicKeys HTTP/1.1\r\nHost: signer\r\n\r\n",
}

// pressed answers in each way that real handlers do: with much, with little that is flushed, and with little.
func pressed(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/publicKeys", "/batch":
		_, _ = io.WriteString(w, repeat(64<<10))
	case "/sign":
		echo(w, r)
		_ = http.NewResponseController(w).Flush()
	case "/refused":
		w.WriteHeader(http.StatusNoContent)
	default:
		echo(w, r)
	}
}

// TestBadPeersDoNotDelayOthers parks more of each kind than there are places, and then asks as everybody does: no time passes.
func TestBadPeersDoNotDelayOthers(t *testing.T) {
	const places, parked, requests = 10, 50, 20
	synctest.Test(t, func(t *testing.T) {
		l := limits(t, places)
		r := inMemory(t, l, http.HandlerFunc(pressed))
		began := time.Now()
		for name, sends := range badPeers {
			for range parked {
				r.connect().send("%s", sends)
				synctest.Wait() // one after the other, so that none is refused for being one of too many at once
			}
			p := r.connect()
			for range requests {
				p.post("/sign", "body")
				if status, says, _ := p.answer(); status != http.StatusOK {
					t.Fatalf("%s: %d %s", name, status, says)
				}
			}
			for _, path := range []string{"/upcheck", "/readyz", "/healthcheck"} {
				p.get(path)
				if status, says, _ := p.answer(); status != http.StatusOK {
					t.Errorf("%s: %s: %d %s", name, path, status, says)
				}
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("others waited for %v", took)
		}
		if n := l.lists.taken.Load(); n != maxLists { // those who read no list hold all its places, and nothing else
			t.Errorf("%d lists are under way, want %d", n, maxLists)
		}
		expectShed(t, l, "requests", 0)
	})
}

// TestTenThousandRequestsAtOnce sends them over 500 connections to a server with fewer places: each gets an answer.
func TestTenThousandRequestsAtOnce(t *testing.T) {
	const connections, each, places = 500, 20, 50
	l := limits(t, places)
	r := overTCP(t, l, http.HandlerFunc(echo))
	peers := make([]*peer, connections)
	for i := range peers {
		peers[i] = r.connect()
	}
	begin := make(chan struct{})
	failures := make(chan error, connections)
	var clients sync.WaitGroup
	for _, p := range peers {
		clients.Go(func() {
			<-begin
			failures <- p.burst(each)
		})
	}
	close(begin)
	clients.Wait()
	for range peers {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	nothingHeld(t, l)
}

// burst sends requests without waiting, and then reads their answers.
func (p *peer) burst(n int) error {
	for range n {
		p.post("/sign", "body")
	}
	for i := range n {
		res, err := http.ReadResponse(p.read, nil)
		if err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
		if _, err := io.ReadAll(res.Body); err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
		_ = res.Body.Close()
		shed := res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != ""
		if res.StatusCode != http.StatusOK && !shed {
			return fmt.Errorf("answer %d: %s", i, res.Status)
		}
	}
	return nil
}

// BenchmarkRequest is what the wrappers of a server cost a request: a bare handler, and the same one within the limits.
func BenchmarkRequest(b *testing.B) {
	l := limits(b, 100)
	bare := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := ReadBody(r); err != nil {
			b.Error(err)
		}
	})
	for name, h := range map[string]http.Handler{"bare": bare, "limits": l.bound(bare), "all": guarded(l.bound(bare), zap.NewNop())} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			body := &rewound{text: repeat(900)}
			w := &discard{}
			c := &conn{door: &door{room: 100}}
			ctx := remember(b.Context(), c)
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/sign", body)
			if err != nil {
				b.Fatal(err)
			}
			r.ContentLength = int64(len(body.text))
			for b.Loop() {
				body.read = false
				r.Body = body
				h.ServeHTTP(w, r)
			}
		})
	}
}

// rewound gives all of its text in one read, as net/http does what came with the headers.
type rewound struct {
	text string
	read bool
}

func (r *rewound) Read(p []byte) (int, error) {
	if r.read {
		return 0, io.EOF
	}
	r.read = true
	return copy(p, r.text), io.EOF
}

func (r *rewound) Close() error { return nil }

// discard is an answer on a connection whose deadlines cost nothing.
type discard struct{ http.ResponseWriter }
