package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/health"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/boot"
)

// TestClientsAreAskedToLeave: between the word to stop and the deed everything is signed, nothing is ready, and each answer is the last of
// its connection. Then the signer ends as ever.
func TestClientsAreAskedToLeave(t *testing.T) {
	a := startAlone(t, "", "CONTAINMENT_SERVER__DRAIN_DELAY_SECONDS=2")
	ask := func(method, path, body string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), method, a.main+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := a.client.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		return res, err
	}
	sign := "/api/v1/eth2/sign/" + publicKey
	if res, err := ask(http.MethodPost, sign, randao(1)); err != nil || res.StatusCode != http.StatusOK || res.Close {
		t.Fatalf("before: %v, %v", res, err)
	}
	a.stop()
	left := 0
	for {
		res, err := ask(http.MethodPost, sign, randao(1))
		if err != nil {
			break // it listens no more
		}
		if res.StatusCode != http.StatusOK {
			t.Fatalf("a request after the word to stop: %s", res.Status)
		}
		if res.Close {
			left++
		}
		if probe, err := ask(http.MethodGet, "/readyz", ""); err == nil && res.Close && probe.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("/readyz after the word to stop: %s", probe.Status)
		}
	}
	if left == 0 {
		t.Error("no answer was the last of its connection")
	}
	if err := <-a.done; err != nil {
		t.Errorf("end: %v", err)
	}
	a.done <- nil
}

// TestABrokenPartIsNotWaitedFor: clients cannot leave by a door that is shut.
func TestABrokenPartIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{log: zap.NewNop(), health: health.New(boot.NewProgress())}
		broken, fail := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { fail(errors.New("the listener is gone")) })
		began := time.Now()
		s.askToLeave(broken, time.Hour)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("left after %v", took)
		}
	})
}
