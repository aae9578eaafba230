package health

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// progress is a start at one point.
type progress struct {
	stage  string
	reason error
}

func (p progress) Missing() (string, error, bool) { return p.stage, p.reason, p.stage == "" }

func ask(t *testing.T, h *Health, path, accept string) (int, string) {
	t.Helper()
	mux := http.NewServeMux()
	h.Register(mux)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// statuses maps each check in an answer to its status, and the whole to its outcome.
func statuses(t *testing.T, h *Health, path string) (code int, got map[string]string) {
	t.Helper()
	code, body := ask(t, h, path, "")
	var a answer
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%s answered %q: %v", path, body, err)
	}
	got = map[string]string{"outcome": a.Outcome}
	if a.Status != a.Outcome {
		t.Errorf("status %s, outcome %s", a.Status, a.Outcome)
	}
	for _, c := range a.Checks {
		got[c.ID] = c.Status
	}
	return code, got
}

func TestUpcheckAnswersWhileEverythingIsMissing(t *testing.T) {
	h := New(progress{stage: "keys"})
	if code, body := ask(t, h, "/upcheck", ""); code != http.StatusOK || body != "OK" {
		t.Errorf("text: %d %q", code, body)
	}
	if code, body := ask(t, h, "/upcheck", "application/json"); code != http.StatusOK || body != `{"status":"OK"}`+"\n" {
		t.Errorf("JSON: %d %q", code, body)
	}
}

func TestTheMissingStageIsTold(t *testing.T) {
	h := New(progress{stage: "configuration", reason: errors.New("nobody listens on vsock port 7001")})
	for _, path := range []string{"/healthcheck", "/readyz"} {
		code, body := ask(t, h, path, "")
		want := `{"status":"DOWN","checks":[{"id":"boot","status":"DOWN","data":{"missing-stage":"configuration",` +
			`"reason":"nobody listens on vsock port 7001"}}],"outcome":"DOWN"}` + "\n"
		if diff := cmp.Diff(want, body); code != http.StatusServiceUnavailable || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", path, code, diff)
		}
	}
}

// TestASharedFaultLeavesTheReplicaReady: a database that is down must not take every replica out of service.
func TestASharedFaultLeavesTheReplicaReady(t *testing.T) {
	h := New(progress{})
	h.SetChecks([]Check{
		{ID: "keys", Replica: true, Probe: func(context.Context) (map[string]any, error) { return nil, nil }},
		{ID: "store", Probe: func(context.Context) (map[string]any, error) { return nil, errors.New("connection refused") }},
	})
	code, got := statuses(t, h, "/healthcheck")
	if diff := cmp.Diff(map[string]string{"boot": "UP", "keys": "UP", "store": "DOWN", "outcome": "DOWN"}, got); code != 503 || diff != "" {
		t.Errorf("healthcheck %d (-want +got):\n%s", code, diff)
	}
	code, got = statuses(t, h, "/readyz")
	if diff := cmp.Diff(map[string]string{"boot": "UP", "keys": "UP", "outcome": "UP"}, got); code != 200 || diff != "" {
		t.Errorf("readyz %d (-want +got):\n%s", code, diff)
	}
}

func TestAFaultOfTheReplicaIsNotReady(t *testing.T) {
	h := New(progress{})
	h.SetChecks([]Check{{ID: "certificate", Replica: true, Probe: func(context.Context) (map[string]any, error) {
		return map[string]any{"mode": "atls"}, errors.New("expired")
	}}})
	if code, body := ask(t, h, "/readyz", ""); code != http.StatusServiceUnavailable ||
		!json.Valid([]byte(body)) || !strings.Contains(body, `"mode":"atls","reason":"expired"`) {
		t.Errorf("%d %s", code, body)
	}
}

func TestDrainingIsNotReadyForGood(t *testing.T) {
	h := New(progress{})
	if code, _ := ask(t, h, "/readyz", ""); code != http.StatusOK {
		t.Fatalf("not ready before: %d", code)
	}
	h.Drain()
	if code, body := ask(t, h, "/readyz", ""); code != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
		t.Errorf("%d %s", code, body)
	}
}

// TestNotReadyWhileTheParentDrains: and again when there is one that does not, unless the process stops itself.
func TestNotReadyWhileTheParentDrains(t *testing.T) {
	h := New(progress{})
	for _, draining := range []bool{true, false} {
		h.SetParentDraining(draining)
		code, body := ask(t, h, "/readyz", "")
		if (code == http.StatusServiceUnavailable) != draining || strings.Contains(body, "the parent is about to stop") != draining || h.Draining() != draining {
			t.Errorf("the parent drains: %v; %d %s", draining, code, body)
		}
	}
	h.Drain()
	h.SetParentDraining(false)
	if code, _ := ask(t, h, "/readyz", ""); code != http.StatusServiceUnavailable || !h.Draining() {
		t.Errorf("ready while it stops: %d", code)
	}
}

// TestACheckThatHangsIsCutOff proves that a probe's context has a deadline.
func TestACheckThatHangsIsCutOff(t *testing.T) {
	h := New(progress{})
	h.SetChecks([]Check{{ID: "store", Probe: func(ctx context.Context) (map[string]any, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the probe's context has no deadline")
		}
		return nil, nil
	}}})
	statuses(t, h, "/healthcheck")
}
