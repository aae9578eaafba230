package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// TestBodiesOfEverySizeArrive sends one after the other on one connection, declared and in chunks.
func TestBodiesOfEverySizeArrive(t *testing.T) {
	l := limits(t, 1)
	r := overTCP(t, l, http.HandlerFunc(echo))
	p := r.connect()
	for _, size := range []int{0, 1, startBody - 1, startBody, startBody + 1, freeBody - 1, freeBody, freeBody + 1, 2 * freeBody, 1 << 20, MaxBody} {
		want := fmt.Sprintf("%d bytes", size)
		p.post("/", repeat(size))
		if status, says, _ := p.answer(); status != 200 || says != want {
			t.Errorf("declared: %d %.100s, want %s", status, says, want)
		}
		chunk := ""
		if size > 0 {
			chunk = fmt.Sprintf("%x\r\n%s\r\n", size, repeat(size))
		}
		p.send("POST / HTTP/1.1\r\nHost: signer\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", chunk)
		if status, says, _ := p.answer(); status != 200 || says != want {
			t.Errorf("in chunks: %d %.100s, want %s", status, says, want)
		}
	}
	nothingHeld(t, l)
}

// nothingHeld waits until every place has been given back: handlers return after their answers.
func nothingHeld(t *testing.T, l *Limits) {
	t.Helper()
	for _, p := range []*places{&l.requests, &l.lists, &l.operators, &l.keys, &l.attestation, &l.healthcheck, &l.readyz, &l.metrics, &l.memory} {
		await(t, func() bool { return p.taken.Load() == 0 })
	}
}

func TestABodyAboveTheLimitIs413(t *testing.T) {
	l := limits(t, 1)
	r := overTCP(t, l, http.HandlerFunc(echo))
	for name, head := range map[string]string{
		"declared":  fmt.Sprintf("Content-Length: %d\r\n\r\n", MaxBody+1),
		"in chunks": fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s", 2*MaxBody, repeat(MaxBody+(1<<20))),
	} {
		p := r.connect()
		p.send("POST / HTTP/1.1\r\nHost: signer\r\n%s", head)
		if status, says, _ := p.answer(); status != http.StatusRequestEntityTooLarge || !strings.Contains(says, fmt.Sprint(MaxBody)) {
			t.Errorf("%s: %d %s", name, status, says)
		}
		p.ended()
	}
	nothingHeld(t, l)
}

func TestAHandlerWithoutAServerReadsItsBody(t *testing.T) {
	for size, kind := range map[int]problem.Kind{0: problem.Internal, 5: problem.Internal, MaxBody: problem.Internal, MaxBody + 1: problem.TooLarge} {
		body, err := ReadBody(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(repeat(size))))
		if kind == problem.Internal && (err != nil || len(body) != size) {
			t.Errorf("%d bytes: got %d, %v", size, len(body), err)
		}
		if kind != problem.Internal && (err == nil || problem.Of(err).Kind != kind) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if body, err := ReadBody(&http.Request{}); err != nil || body != nil {
		t.Errorf("no body: %q, %v", body, err)
	}
}

// TestABodyCanBeReadLikeAny is for handlers that decode from a reader.
func TestABodyCanBeReadLikeAny(t *testing.T) {
	r := overTCP(t, limits(t, 1), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %v", text, err)
	}))
	p := r.connect()
	for _, body := range []string{"first", "", "third"} {
		p.post("/", body)
		if _, says, _ := p.answer(); says != body+" <nil>" {
			t.Errorf("got %q", says)
		}
	}
}

// TestSlowBodiesAreCut sends a part and then a byte each second, and expects the refusal when it is due.
func TestSlowBodiesAreCut(t *testing.T) {
	for name, tc := range map[string]struct {
		head, begin string
		due         time.Duration
	}{
		"small":             {"Content-Length: 1000", "x", readTimeout},
		"in chunks":         {"Transfer-Encoding: chunked", "ff\r\nx", readTimeout},
		"large":             {"Content-Length: 1048576", repeat(freeBody + 1), largeGrace},
		"large, after more": {"Content-Length: 33554432", repeat(4 << 20), largeGrace + 4*largePerMiB},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limits(t, 1)
				p := inMemory(t, l, http.HandlerFunc(echo)).connect()
				began := time.Now()
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					p.send("POST / HTTP/1.1\r\nHost: signer\r\n%s\r\n\r\n%s", tc.head, tc.begin)
					tick := time.NewTicker(time.Second)
					defer tick.Stop()
					for range tick.C {
						if _, err := p.Write([]byte("x")); err != nil {
							return
						}
					}
				}()
				status, says, _ := p.answer()
				if status != http.StatusBadRequest || !strings.Contains(says, "too slowly") || time.Since(began) != tc.due {
					t.Errorf("%d %s after %v, want 400 after %v", status, says, time.Since(began), tc.due)
				}
				p.ended()
				_ = p.Close()
				<-gone
				synctest.Wait()
				nothingHeld(t, l)
			})
		})
	}
}

func TestABodyThatBreaksOffIsMalformed(t *testing.T) {
	r := overTCP(t, limits(t, 1), http.HandlerFunc(echo))
	p := r.connect()
	p.send("POST / HTTP/1.1\r\nHost: signer\r\nContent-Length: 10\r\n\r\nhalf")
	_ = p.Conn.(interface{ CloseWrite() error }).CloseWrite()
	if status, says, _ := p.answer(); status != http.StatusBadRequest || !strings.Contains(says, "broke off") {
		t.Errorf("%d %s", status, says)
	}
}

// TestMemoryOfBodiesIsBounded has one body that holds almost all of it while it grows and none while it is small.
func TestMemoryOfBodiesIsBounded(t *testing.T) {
	const half = 2 * freeBody // of what the large body holds in the end
	l := limits(t, 100)
	l.memory.most.Store(3 * half)
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t, l, http.HandlerFunc(echo))
		p := r.connect()
		p.send("POST / HTTP/1.1\r\nHost: signer\r\nContent-Length: %d\r\n\r\n%s", 2*half, repeat(half+1))
		synctest.Wait()
		if held := l.memory.taken.Load(); held != 2*half {
			t.Errorf("%d bytes are held, want %d", held, 2*half)
		}
		other := r.connect()
		for _, tc := range []struct{ size, want int }{
			{freeBody, http.StatusOK},
			{half, http.StatusOK},
			{half + 1, http.StatusServiceUnavailable}, // while it grows, a body is there twice
			{half, http.StatusOK},                     // on the same connection: what was left of the body has been read away
		} {
			other.post("/", repeat(tc.size))
			if status, says, _ := other.answer(); status != tc.want {
				t.Errorf("%d bytes: %d %s, want %d", tc.size, status, says, tc.want)
			}
		}
		expectShed(t, l, "body_memory", 1)
		p.send("%s", repeat(half-1))
		if status, says, _ := p.answer(); status != http.StatusOK {
			t.Errorf("the one that has the memory: %d %s", status, says)
		}
		synctest.Wait()
		nothingHeld(t, l)
	})
}

// TestABodyIsOverwrittenWhenItsHandlerHasReturned also has one that grew.
func TestABodyIsOverwrittenWhenItsHandlerHasReturned(t *testing.T) {
	kept := make(chan []byte, 1)
	p := overTCP(t, limits(t, 1), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := ReadBody(r)
		kept <- body
	})).connect()
	for _, size := range []int{10, 1 << 20} {
		p.post("/", repeat(size))
		p.answer()
		if body := <-kept; len(body) != size || bytes.ContainsRune(body, 'x') {
			t.Errorf("%d of %d bytes, and not all are zero", len(body), size)
		}
	}
}

// TestTheReadDeadlineEndsWithTheBody runs a handler for longer than a request may take to come.
func TestTheReadDeadlineEndsWithTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t, limits(t, 1), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), 2*readTimeout)
			defer cancel()
			<-ctx.Done()
			_, _ = fmt.Fprint(w, r.Context().Err())
		}))
		p := r.connect()
		for _, send := range []func(){func() { p.post("/", "body") }, func() { p.get("/healthcheck") }} {
			send()
			if status, says, _ := p.answer(); status != 200 || says != "<nil>" {
				t.Errorf("%d, and the request's context ended: %s", status, says)
			}
		}
	})
}
