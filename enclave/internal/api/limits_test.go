package api

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

func expectShed(t *testing.T, l *Limits, bound string, want float64) {
	t.Helper()
	if got := testutil.ToFloat64(l.shed.WithLabelValues(bound)); got != want {
		t.Errorf("%s: %v were shed, want %v", bound, got, want)
	}
}

// await returns when a condition of other goroutines holds.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	tick, end := time.NewTicker(time.Millisecond), time.After(tooLong)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("what is awaited does not come")
		}
	}
}

// TestAFullServerAnswersEverything fills each kind of places, and asks for all.
func TestAFullServerAnswersEverything(t *testing.T) {
	const requests = 2
	for _, full := range []struct {
		method, path, bound string
		places              int
	}{
		{"POST", "/sign", "requests", requests},
		{"DELETE", "/keys", "requests", requests},
		{"GET", "/publicKeys", "lists", maxLists},
		{"GET", attestationPath, "attestation", maxAttestations},
		{"GET", "/readyz", "readyz", maxProbes},
		{"GET", "/healthcheck", "healthcheck", maxProbes},
		{"GET", "/metrics", "metrics", maxProbes},
	} {
		t.Run(full.method+full.path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				leave := make(chan struct{})
				l := limits(t, requests)
				r := inMemory(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Stay") != "" {
						<-leave
					}
					_, _ = io.WriteString(w, "done")
				}))
				parked := make([]*peer, full.places)
				for i := range parked {
					parked[i] = r.connect()
					parked[i].send("%s %s HTTP/1.1\r\nHost: signer\r\nStay: 1\r\n\r\n", full.method, full.path)
				}
				synctest.Wait()
				p := r.connect() // all on one connection, which a refusal does not end
				refused := 0.0
				for _, path := range []string{"/upcheck", "/sign", "/readyz", "/healthcheck", "/publicKeys", "/metrics", attestationPath} {
					want := http.StatusOK
					if path == full.path || path == "/sign" && full.bound == "requests" {
						want = http.StatusServiceUnavailable
						refused++
					}
					if path == "/sign" {
						p.post(path, "body")
					} else {
						p.get(path)
					}
					if status, says, _ := p.answer(); status != want {
						t.Errorf("%s: %d %s, want %d", path, status, says, want)
					}
				}
				expectShed(t, l, full.bound, refused)
				close(leave)
				for _, p := range parked {
					if status, says, _ := p.answer(); status != http.StatusOK {
						t.Errorf("one of those inside: %d %s", status, says)
					}
				}
				nothingHeld(t, l)
			})
		})
	}
}

func TestTheLimitCanChange(t *testing.T) {
	l := limits(t, 0)
	p := overTCP(t, l, http.HandlerFunc(echo)).connect()
	for limit, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
		l.SetRequests(limit)
		p.post("/", "body")
		if status, says, _ := p.answer(); status != want {
			t.Errorf("limit %d: %d %s", limit, status, says)
		}
	}
	if testutil.ToFloat64(l.shed.WithLabelValues("requests")) != 1 {
		t.Error("the refusal was not counted")
	}
}

// TestAnAnswerAtTheDeadlineGetsOut has a handler that gives up when its context does.
func TestAnAnswerAtTheDeadlineGetsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := inMemory(t, limits(t, 1), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			WriteProblem(w, problem.Wrap(problem.Overloaded, r.Context().Err(), "no time was left"))
		})).connect()
		began := time.Now()
		p.post("/", "body")
		if status, says, _ := p.answer(); status != http.StatusServiceUnavailable || time.Since(began) != requestTimeout {
			t.Errorf("%d %s after %v", status, says, time.Since(began))
		}
		p.get("/upcheck") // the connection can still be used
		if status, _, _ := p.answer(); status != http.StatusServiceUnavailable {
			t.Errorf("%d", status)
		}
	})
}

// TestAPanicGivesThePlaceBack asks again on another connection.
func TestAPanicGivesThePlaceBack(t *testing.T) {
	l := limits(t, 1)
	r := overTCP(t, l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("index out of range") }))
	for range 3 {
		p := r.connect()
		p.post("/", repeat(freeBody+1))
		p.ended()
	}
	nothingHeld(t, l)
	expectShed(t, l, "requests", 0)
}

// TestAnAnswerThatNobodyReadsIsGivenUp has a caller that asks for a list and reads none of it: its place comes back.
func TestAnAnswerThatNobodyReadsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		written := make(chan time.Duration, 1)
		r := inMemory(t, limits(t, 1), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			began := time.Now()
			if _, err := io.WriteString(w, repeat(1<<20)); err == nil {
				t.Error("all was written")
			}
			written <- time.Since(began)
		}))
		r.connect().get("/publicKeys")
		if took := <-written; took != answerTimeout {
			t.Errorf("given up after %v, want %v", took, answerTimeout)
		}
	})
}

func TestMetricsOfTheLimits(t *testing.T) {
	registry := prometheus.NewRegistry()
	l, err := NewLimits(7, registry)
	if err != nil {
		t.Fatal(err)
	}
	l.requests.take(1)
	want := map[string]float64{"containment_http_requests_inside": 1, "containment_http_requests_limit": 7}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetType().String() == "GAUGE" && len(f.GetMetric()) == 1 {
			got[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s %v, want %v", name, got[name], value)
		}
	}
	if _, err := NewLimits(7, registry); err == nil {
		t.Error("a second registration was accepted")
	}
}

func TestAttestationHasItsPlacesWhereItIsServed(t *testing.T) {
	if attestationPath != atls.WellKnownPath {
		t.Errorf("places are at %s, and it is at %s", attestationPath, atls.WellKnownPath)
	}
}
