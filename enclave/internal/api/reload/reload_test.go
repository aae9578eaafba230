package reload_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/reload"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outcome is what a load that the test directs ends with.
type outcome struct {
	totals reload.Totals
	err    error
}

// directed is a Reloads whose loads end when the test says so.
type directed struct {
	t     *testing.T
	mux   *http.ServeMux
	ends  chan outcome
	calls int
	stop  func()
}

func direct(t *testing.T) *directed {
	d := &directed{t: t, mux: http.NewServeMux(), ends: make(chan outcome)}
	r := reload.New(func(ctx context.Context) (reload.Totals, error) {
		d.calls++
		select {
		case o := <-d.ends:
			return o.totals, o.err
		case <-ctx.Done():
			return reload.Totals{}, ctx.Err()
		}
	})
	r.Register(d.mux)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	d.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	return d
}

// ask returns the answer with its status code under the key "HTTP".
func (d *directed) ask(method string) map[string]any {
	d.t.Helper()
	synctest.Wait() // so that what was begun is under way, and what was ended is over
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, ask(d.t, method))
	answer := map[string]any{}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		d.t.Fatalf("%s /reload: %q: %v", method, w.Body, err)
	}
	answer["HTTP"] = w.Code
	return answer
}

func (d *directed) want(method string, want map[string]any) {
	d.t.Helper()
	if diff := cmp.Diff(want, d.ask(method)); diff != "" {
		d.t.Errorf("%s /reload (-want +got):\n%s", method, diff)
	}
}

var (
	started = map[string]any{"HTTP": 202, "code": 202.0, "message": "reload started"}
	busy    = map[string]any{"HTTP": 409, "code": 409.0, "message": "a reload is running already", "error": "a reload is running already"}
)

func TestOneReloadAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := direct(t)
		defer d.stop()
		d.want("GET", map[string]any{"HTTP": 200, "status": "idle"})

		d.want("POST", started)
		d.want("GET", map[string]any{"HTTP": 200, "status": "running"})
		d.want("POST", busy)
		d.ends <- outcome{totals: reload.Totals{Loaded: 9, Added: 2, Removed: 1}}
		// Virtual time begins here.
		const first = "2000-01-01T00:00:00Z"
		d.want("GET", map[string]any{
			"HTTP": 200, "status": "completed", "lastOperationTime": first,
			"keys": map[string]any{"loaded": 9.0, "added": 2.0, "removed": 1.0, "failed": 0.0},
		})

		<-time.After(time.Second)
		d.want("POST", started)
		now := d.ask("GET")
		if now["status"] != "running" || now["lastOperationTime"] != first {
			t.Errorf("while the second runs: %v", now)
		}
		d.ends <- outcome{totals: reload.Totals{Loaded: 9, Failed: 3}}
		d.want("GET", map[string]any{
			"HTTP": 200, "status": "completed_with_errors", "lastOperationTime": "2000-01-01T00:00:01Z",
			"lastError": "some keys could not be loaded; the log names each file and the reason",
			"keys":      map[string]any{"loaded": 9.0, "added": 0.0, "removed": 0.0, "failed": 3.0},
		})

		d.want("POST", started)
		d.ends <- outcome{err: errors.New("key directory /keys: permission denied")}
		d.want("GET", map[string]any{
			"HTTP": 200, "status": "failed", "lastOperationTime": "2000-01-01T00:00:01Z",
			"lastError": "key directory /keys: permission denied",
		})
		if d.calls != 3 {
			t.Errorf("%d loads, want 3", d.calls)
		}
	})
}

// TestTheEndCutsAReload: nothing is left behind, and nothing new begins.
func TestTheEndCutsAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := direct(t)
		d.want("POST", started)
		synctest.Wait()
		d.stop()
		if now := d.ask("GET"); now["status"] != "failed" || now["lastError"] != context.Canceled.Error() {
			t.Errorf("%v", now)
		}
		d.want("POST", map[string]any{"HTTP": 503, "code": 503.0, "message": "the process is stopping", "error": "the process is stopping"})
	})
}

// TestAReloadThatRunDoesNotComeTo is not left running.
func TestAReloadThatRunDoesNotComeTo(t *testing.T) {
	for range 20 { // Run may take it or not: which, is left to chance
		mux := http.NewServeMux()
		r := reload.New(func(ctx context.Context) (reload.Totals, error) { return reload.Totals{}, ctx.Err() })
		r.Register(mux)
		mux.ServeHTTP(httptest.NewRecorder(), ask(t, http.MethodPost))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Run(ended); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, ask(t, http.MethodGet))
		if !strings.Contains(w.Body.String(), `"status":"failed"`) {
			t.Errorf("after the end: %s", w.Body)
		}
	}
}

func ask(t *testing.T, method string) *http.Request {
	t.Helper()
	return api.WithCaller(httptest.NewRequestWithContext(t.Context(), method, "/reload", nil), authtest.With(auth.Reload))
}

// TestWhoMayReload: a token with the scope, and nobody else, also where duties are open.
func TestWhoMayReload(t *testing.T) {
	d := direct(t)
	defer d.stop()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for want, caller := range map[int]auth.Caller{401: authtest.Open(), 403: authtest.With(auth.Sign)} {
			w := httptest.NewRecorder()
			d.mux.ServeHTTP(w, api.WithCaller(ask(t, method), caller))
			if w.Code != want {
				t.Errorf("%s by %v: %d, want %d", method, caller, w.Code, want)
			}
		}
	}
}
