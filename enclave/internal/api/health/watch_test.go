package health

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watched runs the looks of a Health with one part, which is what part says.
func watched(t *testing.T, p Progress, part func(context.Context) error) (h *Health, stop func()) {
	h = New(p)
	h.SetChecks([]Check{{ID: "store", Probe: func(ctx context.Context) (map[string]any, error) { return nil, part(ctx) }}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- h.Run(ctx) }()
	return h, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestHealthyFollowsTheParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fault atomic.Pointer[error]
		fault.Store(new(error))
		ask := make(chan struct{})
		h, stop := watched(t, progress{}, func(context.Context) error {
			<-ask
			return *fault.Load()
		})
		defer stop()
		if h.Healthy() {
			t.Error("healthy before anybody was asked")
		}
		close(ask)
		synctest.Wait()
		if !h.Healthy() {
			t.Error("not healthy although all is well")
		}
		down := errors.New("connection refused")
		fault.Store(&down)
		<-time.After(refresh + 1)
		if synctest.Wait(); h.Healthy() {
			t.Error("healthy although a part is down")
		}
		fault.Store(new(error))
		if code, _ := statuses(t, h, "/healthcheck"); code != 200 || !h.Healthy() {
			t.Error("an answer of /healthcheck does not count")
		}
		h.Drain()
		if h.Healthy() {
			t.Error("healthy while draining")
		}
	})
}

// TestHealthyNeverWaits: a part that hangs, even beyond its deadline, makes an answer that is down, not one that is old.
func TestHealthyNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		calls := 0
		h, stop := watched(t, progress{}, func(context.Context) error {
			if calls++; calls > 1 {
				<-hang
			}
			return nil
		})
		synctest.Wait()
		if !h.Healthy() {
			t.Error("not healthy although all is well")
		}
		<-time.After(staleAfter)
		if h.Healthy() {
			t.Error("healthy although nobody has answered since")
		}
		close(hang)
		stop()
	})
}

// TestAProcessIsHealthyWhenItsStartIsDone, not at the next look.
func TestAProcessIsHealthyWhenItsStartIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := &progress{stage: "keys"}
		h, stop := watched(t, start, func(context.Context) error { return nil })
		defer stop()
		synctest.Wait()
		if h.Healthy() {
			t.Error("healthy although the start is not done")
		}
		start.stage = ""
		if !h.Healthy() {
			t.Error("not healthy although the start is done")
		}
	})
}

// TestACallerThatHangsUpChangesNothing: its context ends the probe, which says nothing about the part.
func TestACallerThatHangsUpChangesNothing(t *testing.T) {
	h := New(progress{})
	h.SetChecks([]Check{{ID: "store", Probe: func(ctx context.Context) (map[string]any, error) { return nil, ctx.Err() }}})
	h.judge(t.Context())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	h.judge(gone)
	if !h.Healthy() {
		t.Error("a caller's end made the process unhealthy")
	}
}
