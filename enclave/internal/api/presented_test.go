package api

import (
	"crypto/x509"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestAConnectionEndsWithItsEvidence: until a minute before, nothing is said; then the next answer is the last; one that nobody
// uses is cut at the end.
func TestAConnectionEndsWithItsEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limits(t, 1)
		end := time.Now().Add(5 * time.Minute)
		r := inMemory(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			connection(r.Context()).Present(&x509.Certificate{NotAfter: end})
			echo(w, r)
		}))
		used, idle := r.connect(), r.connect()
		ask := func(p *peer) {
			t.Helper()
			p.post("/", "{}")
			if code, _, _ := p.answer(); code != http.StatusOK {
				t.Errorf("%s before the end: %d", time.Until(end), code)
			}
		}
		ask(used)
		ask(idle)
		for time.Until(end) > 100*time.Second {
			<-time.After(farewell) // within the idle timeout
			ask(used)
			ask(idle)
		}
		<-time.After(time.Until(end) - 59*time.Second)
		ask(used)
		used.ended()
		if left := time.Until(end); left != 59*time.Second {
			t.Errorf("the connection ended %s before its evidence, not with its last answer", left)
		}
		if n := testutil.ToFloat64(r.server.door.expired); n != 0 {
			t.Errorf("%v connections were cut before the end", n)
		}
		idle.ended()
		if left := time.Until(end); left != 0 {
			t.Errorf("the idle connection ended %s before its evidence", left)
		}
		synctest.Wait()
		if n := testutil.ToFloat64(r.server.door.expired); n != 1 {
			t.Errorf("%v connections were cut, want 1", n)
		}
	})
}

// TestHTTP2ConnectionsEndWithTheirEvidence: the client is told to take another connection, and loses no request.
func TestHTTP2ConnectionsEndWithTheirEvidence(t *testing.T) {
	l := limits(t, 64)
	var mu sync.Mutex
	seen := map[*conn]int{}
	url, transport := overTLS(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := connection(r.Context())
		mu.Lock()
		seen[c]++
		mu.Unlock()
		c.Present(&x509.Certificate{NotAfter: time.Now().Add(farewell / 2)})
		echo(w, r)
	}))
	client := &http.Client{Transport: transport}
	const requests = 40
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range requests / 4 {
				res, err := client.Post(url, "application/json", strings.NewReader("{}"))
				if err != nil {
					t.Error(err)
					continue
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
					t.Errorf("%s %s", res.Proto, res.Status)
				}
			}
		})
	}
	all.Wait()
	answered := 0
	for _, n := range seen {
		answered += n
	}
	if len(seen) < 2 || answered != requests {
		t.Errorf("%d requests on %d connections, want %d on several", answered, len(seen), requests)
	}
}

// TestClientsAreAskedToLeave: as long as they are to, each answer is the last of its connection, new ones are taken all the same, and one
// that nobody uses stays.
func TestClientsAreAskedToLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limits(t, 1)
		var draining atomic.Bool
		l.LeaveWhile(draining.Load)
		r := inMemory(t, l, http.HandlerFunc(echo))
		ask := func(p *peer) {
			t.Helper()
			p.post("/", "{}")
			if code, _, _ := p.answer(); code != http.StatusOK {
				t.Errorf("answered %d", code)
			}
		}
		first, second := r.connect(), r.connect()
		ask(first)
		ask(first)
		ask(second)
		draining.Store(true)
		ask(first)
		first.ended()
		late := r.connect()
		ask(late)
		late.ended()
		draining.Store(false)
		ask(second)
		ask(second)
	})
}

// TestHTTP2ClientsAreAskedToLeave: they take other connections, and lose no request.
func TestHTTP2ClientsAreAskedToLeave(t *testing.T) {
	l := limits(t, 64)
	var draining atomic.Bool
	l.LeaveWhile(draining.Load)
	var mu sync.Mutex
	seen := map[*conn]int{}
	url, transport := overTLS(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[connection(r.Context())]++
		mu.Unlock()
		echo(w, r)
	}))
	client := &http.Client{Transport: transport}
	ask := func() {
		t.Helper()
		res, err := client.Post(url, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
			t.Errorf("%s %s", res.Proto, res.Status)
		}
	}
	ask()
	ask()
	if len(seen) != 1 {
		t.Errorf("%d connections before", len(seen))
	}
	draining.Store(true)
	for range 10 {
		ask()
	}
	if len(seen) < 2 {
		t.Error("the connection was kept")
	}
}

func TestAClosedConnectionDoesNotExpire(t *testing.T) {
	c := &conn{door: limits(t, 1).door("test", nil)}
	c.Present(&x509.Certificate{})
	if c.timer != nil {
		t.Error("it waits for its end")
	}
}
