package dynamoclient_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
)

// caller is how a service sees the connections to it.
type caller struct {
	requests []int // of each connection, when it has ended
	ended    chan time.Time
}

// reach opens a table whose service answers so many requests of a connection, and closes it at the next.
func reach(t *testing.T, answers int) (*dynamoclient.Table, *caller) {
	t.Helper()
	c := &caller{ended: make(chan time.Time, 1)}
	o := options("http://any")
	o.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			c.requests = append(c.requests, answer(far, answers))
			c.ended <- time.Now()
		}()
		return near, nil
	}
	return open(t, o), c
}

// answer answers the first requests that come over a connection, and returns how many came before it was closed.
func answer(conn net.Conn, answers int) (came int) {
	defer conn.Close()
	for in := bufio.NewReader(conn); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return came
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			return came
		}
		if came++; came > answers {
			return came
		}
		// The client gives a connection up whose answer it has before it knows that the request is sent.
		<-time.After(time.Millisecond)
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
			return came
		}
	}
}

// TestRest: a connection is kept for a while, until Close.
func TestRest(t *testing.T) {
	for name, tc := range map[string]struct {
		closed bool
		want   time.Duration
	}{
		"open":   {false, 30 * time.Second},
		"closed": {true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table, c := reach(t, 2)
				for range 2 {
					if got, err := try(t.Context(), table, put(table)); got != dynamoclient.Answered {
						t.Fatalf("fate %d, %v", got, err)
					}
				}
				rests := time.Now()
				if tc.closed {
					table.Close()
				}
				if end := <-c.ended; end.Sub(rests) != tc.want || !slices.Equal(c.requests, []int{2}) {
					t.Errorf("closed after %v and %d requests, want %v and 2", end.Sub(rests), c.requests, tc.want)
				}
			})
		})
	}
}

// TestLostAtRest: a request on a connection that was used before may have arrived, and is not sent again.
func TestLostAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, c := reach(t, 1)
		for i, want := range []dynamoclient.Fate{dynamoclient.Answered, dynamoclient.Unanswered} {
			if got, err := try(t.Context(), table, put(table)); got != want {
				t.Errorf("request %d: fate %d, %v, want fate %d", i, got, err, want)
			}
		}
		if <-c.ended; !slices.Equal(c.requests, []int{2}) {
			t.Errorf("requests of connections: %d", c.requests)
		}
	})
}
