package app

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// secondSecret and secondKey are the second of the keys that everybody knows.
const (
	secondSecret = "51d0b65185db6989ab0b560d6deed19c7ead0e24b9b6372cbecb1f26bdfad000"
	secondKey    = "0xb89bebc699769726a318c8e9971bd3171297c61aea4a6578a7a4f94b547dcba5bac16a89108b6b6a1fe3695d1a874a0b"
)

// reload has the keys read again and returns what GET /reload says when that is over, without the time.
func (a *alone) reload() map[string]any {
	a.t.Helper()
	if status, _, body := a.ask(http.MethodPost, a.main+"/reload", "", ""); status != http.StatusAccepted {
		a.t.Fatalf("POST /reload: %d %s", status, body)
	}
	var now map[string]any
	a.until(func() bool {
		_, _, body := a.ask(http.MethodGet, a.main+"/reload", "", "")
		now = decodeJSON(a.t, body).(map[string]any)
		return now["status"] != "running"
	})
	if now["lastOperationTime"] == nil {
		a.t.Errorf("no lastOperationTime in %v", now)
	}
	delete(now, "lastOperationTime")
	return now
}

func (a *alone) sign(key string, epoch int) (int, string) {
	a.t.Helper()
	status, _, body := a.ask(http.MethodPost, a.main+"/api/v1/eth2/sign/"+key, "", randao(epoch))
	return status, body
}

func totals(loaded, added, removed, failed float64) map[string]any {
	return map[string]any{"loaded": loaded, "added": added, "removed": removed, "failed": failed}
}

// TestAReloadTellsWhatBecameOfEachKey through the status, the log, the metrics and the keys themselves.
func TestAReloadTellsWhatBecameOfEachKey(t *testing.T) {
	a := startAlone(t, "")
	want := func(status, says string, totals map[string]any) {
		t.Helper()
		expected := map[string]any{"status": status}
		if totals != nil {
			expected["keys"] = totals
		}
		if says != "" {
			expected["lastError"] = says
		}
		if diff := cmp.Diff(expected, a.reload()); diff != "" {
			t.Errorf("GET /reload (-want +got):\n%s", diff)
		}
	}
	const someFailed = "some keys could not be loaded; the log names each file and the reason"
	want("completed", "", totals(1, 0, 0, 0))

	a.write("keys/second.yaml", descriptorOf(secondSecret))
	a.write("keys/third.yaml", "type: file-raw")
	want("completed_with_errors", someFailed, totals(2, 1, 0, 1))
	if status, body := a.sign(secondKey, 1); status != http.StatusOK {
		t.Errorf("the new key: %d %s", status, body)
	}

	a.write("keys/first.yaml", "type: file-")
	a.remove("keys/second.yaml")
	a.remove("keys/third.yaml")
	want("completed_with_errors", someFailed, totals(1, 0, 1, 1))
	if status, body := a.sign(secondKey, 1); status != http.StatusNotFound {
		t.Errorf("the key that is gone: %d %s", status, body)
	}
	if status, body := a.sign(publicKey, 1); status != http.StatusOK {
		t.Errorf("the key of a broken file: %d %s", status, body)
	}

	a.rename("keys", "away")
	missing := "key directory " + filepath.Join(a.dir, "keys") + ": no such file or directory"
	want("failed", missing, nil)
	health := func(data map[string]any) {
		t.Helper()
		status, _, body := a.ask(http.MethodGet, a.main+"/healthcheck", "", "")
		check := decodeJSON(t, body).(map[string]any)["checks"].([]any)[1].(map[string]any)
		if diff := cmp.Diff(map[string]any{"id": "keys", "status": "UP", "data": data}, check); status != http.StatusOK || diff != "" {
			t.Errorf("/healthcheck: %d, the keys (-want +got):\n%s", status, diff)
		}
	}
	health(map[string]any{"keys-loaded": 1.0, "error-count": 1.0, "last-reload-error": missing})
	if status, body := a.sign(publicKey, 2); status != http.StatusOK {
		t.Errorf("without the directory: %d %s", status, body)
	}
	a.rename("away", "keys")
	a.write("keys/first.yaml", descriptorOf(secretKey))
	want("completed", "", totals(1, 0, 0, 0))
	health(map[string]any{"keys-loaded": 1.0, "error-count": 0.0})

	for _, line := range []struct{ message, key, says string }{
		{"key added", secondKey, ""},
		{"key removed", secondKey, ""},
		{"key not loaded", "", "third.yaml: field privateKey is missing"},
		{"key not reloaded: it stays as it was", publicKey, "first.yaml: unknown type"},
		{"keys not reloaded: nothing has changed", "", "no such file or directory"},
	} {
		found := false
		for _, l := range a.lines.with(line.message) {
			key, _ := l["key"].(string)
			found = found || key == line.key[:min(len(line.key), len("0x12345678"))] && strings.Contains(fmt.Sprint(l["error"]), line.says)
		}
		if !found {
			t.Errorf("the log does not say %q of %s: %s\n%s", line.message, line.key, line.says, a.lines)
		}
	}
	_, _, metrics := a.ask(http.MethodGet, a.meters+"/metrics", "", "")
	for _, line := range []string{
		`containment_keys_active{source="filesystem"} 1`, `containment_key_load_failures_total{source="filesystem"} 3`, "containment_key_loading_duration_seconds ",
		"containment_healthy 1", "go_cpu_classes_gc_total_cpu_seconds_total ", "go_cpu_classes_total_cpu_seconds_total ",
	} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("the metrics lack %q", line)
		}
	}
	if strings.Contains(a.lines.String(), secondSecret[:8]) {
		t.Error("the log shows a key")
	}
}

// TestSigningGoesOnDuringReloads: a key that stays signs at any time, whatever comes and goes beside it.
func TestSigningGoesOnDuringReloads(t *testing.T) {
	a := startAlone(t, "")
	done := make(chan struct{})
	var callers sync.WaitGroup
	for n := range 4 {
		callers.Go(func() {
			for epoch := n; ; epoch += 4 {
				select {
				case <-done:
					return
				default:
				}
				if status, body := a.sign(publicKey, epoch); status != http.StatusOK {
					t.Errorf("epoch %d: %d %s", epoch, status, body)
				}
				// The other key is there or it is not.
				if status, body := a.sign(secondKey, epoch); status != http.StatusOK && status != http.StatusNotFound {
					t.Errorf("the second key, epoch %d: %d %s", epoch, status, body)
				}
			}
		})
	}
	for range 10 {
		a.write("keys/second.yaml", descriptorOf(secondSecret))
		if got := a.reload(); got["status"] != "completed" {
			t.Errorf("%v", got)
		}
		a.remove("keys/second.yaml")
		if got := a.reload(); got["status"] != "completed" {
			t.Errorf("%v", got)
		}
	}
	close(done)
	callers.Wait()
}

// TestTheEndCutsAReload: what goleak finds after it is a failure, too.
func TestTheEndCutsAReload(t *testing.T) {
	a := startAlone(t, "")
	for n := range 200 { // so that the end most likely comes in between; it must be orderly in any case
		a.write(fmt.Sprintf("keys/%03d.yaml", n), descriptorOf(fmt.Sprintf("%064x", n+1)))
	}
	if status, _, body := a.ask(http.MethodPost, a.main+"/reload", "", ""); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	a.stop()
	err := <-a.done
	a.done <- nil
	if err != nil {
		t.Errorf("end: %v", err)
	}
	if a.lines.with("stopped") == nil {
		t.Error("the log does not tell the end")
	}
}

func (a *alone) remove(name string) {
	a.t.Helper()
	if err := os.Remove(filepath.Join(a.dir, name)); err != nil {
		a.t.Fatal(err)
	}
}

func (a *alone) rename(from, to string) {
	a.t.Helper()
	if err := os.Rename(filepath.Join(a.dir, from), filepath.Join(a.dir, to)); err != nil {
		a.t.Fatal(err)
	}
}
