package api

import (
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// connections is how many are open.
func (d *door) connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open.Len()
}

// counts are displaced, refused and open, as the metrics tell.
func (d *door) counts() [3]float64 {
	return [3]float64{testutil.ToFloat64(d.displaced), testutil.ToFloat64(d.refused), testutil.ToFloat64(d.now)}
}

// few is a server in memory for so many connections, whose handlers of POST wait to be let go.
func few(t *testing.T, most int) (r *rig, leave chan struct{}) {
	t.Helper()
	leave = make(chan struct{})
	l := limits(t, 100)
	l.most = func() int { return most }
	r = inMemory(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := ReadBody(r); err == nil && r.Method == http.MethodPost {
			<-leave
		}
		_, _ = io.WriteString(w, "done")
		if r.URL.Path == "/flushed" {
			_ = http.NewResponseController(w).Flush()
		}
	}))
	return r, leave
}

// TestANewcomerDisplacesTheOneThatWaitsLongest fills a server with connections whose peers do nothing, in each way that
// there is, and comes as one more.
func TestANewcomerDisplacesTheOneThatWaitsLongest(t *testing.T) {
	for name, park := range map[string]func(*peer){
		"half open":       func(*peer) {},
		"dribbles header": func(p *peer) { p.send("POST / HTTP/1.1\r\nHo") },
		"dribbles body":   func(p *peer) { p.send("POST / HTTP/1.1\r\nHost: signer\r\nContent-Length: 9\r\n\r\n{") },
		"idle":            func(p *peer) { p.get("/"); p.answer() },
		"never reads":     func(p *peer) { p.get("/") },
		"reads no flush":  func(p *peer) { p.get("/flushed") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const most = 4
				r, _ := few(t, most)
				parked := make([]*peer, most)
				for i := range parked {
					parked[i] = r.connect()
					park(parked[i])
					synctest.Wait()
				}
				for i := range most {
					p := r.connect()
					p.get("/")
					if status, _, _ := p.answer(); status != http.StatusOK {
						t.Errorf("newcomer %d: %d", i, status)
					}
					_, _ = io.Copy(io.Discard, parked[i]) // ends, because it was closed
					synctest.Wait()
				}
				if diff := cmp.Diff([3]float64{most, 0, most}, r.server.door.counts()); diff != "" {
					t.Errorf("displaced, refused, open (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestOneThatIsServedIsNotDisplaced has all connections but one served, then all.
func TestOneThatIsServedIsNotDisplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, leave := few(t, 3)
		var served []*peer
		for range 2 {
			p := r.connect()
			p.post("/", "body")
			synctest.Wait()
			served = append(served, p)
		}
		idle := r.connect()
		synctest.Wait()
		last := r.connect()
		last.post("/", "body")
		synctest.Wait()
		idle.ended()
		served = append(served, last)

		refused := r.connect()
		refused.ended()
		if diff := cmp.Diff([3]float64{1, 1, 3}, r.server.door.counts()); diff != "" {
			t.Errorf("displaced, refused, open (-want +got):\n%s", diff)
		}
		close(leave)
		for i, p := range served {
			if status, _, _ := p.answer(); status != http.StatusOK {
				t.Errorf("served %d: %d", i, status)
			}
			_ = p.Close()
		}
		synctest.Wait()
		if n := r.server.door.connections(); n != 0 {
			t.Errorf("%d connections are still counted", n)
		}
	})
}

// TestOneThatWasServedWaitsAnew has the older of two connections served last.
func TestOneThatWasServedWaitsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := few(t, 2)
		older := r.connect()
		synctest.Wait()
		younger := r.connect()
		synctest.Wait()
		older.get("/")
		older.answer()
		synctest.Wait()
		r.connect()
		younger.ended()
		older.get("/")
		if status, _, _ := older.answer(); status != http.StatusOK {
			t.Errorf("the one that was served last: %d", status)
		}
	})
}

// TestAConnectionWithTooManyRequestsGoes is for HTTP/2, whose one connection carries many requests. One that is served stays, and
// others are told to come again.
func TestAConnectionWithTooManyRequestsGoes(t *testing.T) {
	for served, status := range []int{http.StatusOK, http.StatusServiceUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			const most = 3
			r, leave := few(t, most)
			close(leave)
			slow := r.connect() // has waited longer
			slow.send("POST / HTTP/1.1\r\nHost: signer\r\nContent-Length: 4\r\n\r\nb")
			synctest.Wait()
			d := r.server.door
			near, far := net.Pipe()
			hog, _ := d.admit(near)
			for range served {
				hog.enter()
				hog.begin()
			}
			const fit = most*waitingPerConnection - 1 // beside the request of slow
			for range fit {
				if !hog.enter() || hog.place == nil {
					t.Error("refused or displaced below the limit")
				}
			}
			p := r.connect()
			for path, want := range map[string]int{"/": status, "/upcheck": http.StatusOK} {
				p.get(path)
				if got, says, _ := p.answer(); got != want {
					t.Errorf("%d served: %s: %d %s, want %d", served, path, got, says, want)
				}
			}
			if displaced := hog.place == nil; displaced != (served == 0) {
				t.Errorf("%d served: displaced %v", served, displaced)
			}
			expectShed(t, r.limits, "waiting", float64(served))
			for range served {
				hog.end()
				hog.leave()
			}
			for range fit {
				hog.leave()
			}
			synctest.Wait()
			if d.waiting != 1 {
				t.Errorf("%d requests are counted, want that of the slow one", d.waiting)
			}
			slow.send("ody")
			if got, _, _ := slow.answer(); got != http.StatusOK {
				t.Errorf("the slow one: %d", got)
			}
			_, _ = hog.Close(), far.Close()
		})
	}
}

func TestConnectionsFitTheFilesOfTheProcess(t *testing.T) {
	for files, want := range map[uint64]int{
		0: 64, 256: 64, 1024: 170, 4096: 1194, 20000: 6496, 65536: maxConnections, 1 << 63: maxConnections,
	} {
		if got := connectionsFor(files); got != want {
			t.Errorf("%d files: %d connections, want %d", files, got, want)
		}
		if got := connectionsFor(files); files > 1024 && listeners*got+reservedFiles > int(min(files, 1<<32)) {
			t.Errorf("%d files do not hold %d connections of %d listeners", files, got, listeners)
		}
	}
	if got := mostConnections(); got < 64 || got > maxConnections {
		t.Errorf("here: %d", got)
	}
}
