package supervisor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// states are the values of the metric by task.
func states(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "containment_parent_task_state" {
				got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	return got
}

func TestStateOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.InfoLevel)
		registry := prometheus.NewRegistry()
		ctx, stop := context.WithCancel(t.Context())
		broken := make(chan struct{})
		task := Task{Name: "egress/db", Run: func(ctx, _ context.Context) error {
			select {
			case <-broken:
				return errors.New("listener broke")
			case <-ctx.Done():
				return nil
			}
		}}
		s := staged(zap.New(core), registry, time.Second, []Task{task, {Name: "sound", Run: func(ctx, _ context.Context) error {
			<-ctx.Done()
			return nil
		}}})
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		check := func(when string, want float64) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(map[string]float64{"egress/db": want, "sound": 2}, states(t, registry)); diff != "" {
				t.Errorf("%s:\n%s", when, diff)
			}
			if healthy := s.Healthy() == nil; healthy != (want == 2) {
				t.Errorf("%s: healthy %t", when, healthy)
			}
		}
		check("at first", 2)
		broken <- struct{}{}
		check("failed", 0)
		<-time.After(firstPause + firstPause/2)
		check("restarted", 1)
		<-time.After(steadyAfter - time.Second)
		check("restarted some time ago", 1)
		<-time.After(time.Second)
		check("steady", 2)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if diff := cmp.Diff(map[string]float64{}, states(t, registry)); diff != "" {
			t.Errorf("after the end:\n%s", diff)
		}
		var events []any
		for _, line := range logged.All() {
			events = append(events, line.ContextMap()["event"])
		}
		if diff := cmp.Diff([]any{"task_failed", "task_healed", "drain_begun", "drain_over"}, events); diff != "" {
			t.Errorf("events:\n%s", diff)
		}
	})
}

// TestTwoTasksOfOneName: a route is replaced while a connection of the old one lives on. The old one's end does not hide the new one's state.
func TestTwoTasksOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		s := New(zap.NewNop(), registry, time.Second)
		ctx, stop := context.WithCancel(t.Context())
		replaced, close1 := context.WithCancel(ctx)
		release := make(chan struct{})
		ended := make(chan error)
		keep := func(ctx context.Context, run func(ctx, cut context.Context) error) {
			go func() { ended <- s.Keep(ctx, ctx, Task{Name: "egress/db", Run: run}) }()
			synctest.Wait()
		}
		keep(replaced, func(context.Context, context.Context) error { <-release; return nil })
		close1()
		keep(ctx, func(context.Context, context.Context) error { return errors.New("port is taken") })
		release <- struct{}{}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := states(t, registry)["egress/db"]; got != 0 {
			t.Errorf("state %v of a route that cannot listen, want 0", got)
		}
		if err := s.Healthy(); err == nil || err.Error() != "task egress/db: port is taken" {
			t.Errorf("Healthy = %v", err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestPausesAreShortAgain after a task has run steadily.
func TestPausesAreShortAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(zap.NewNop(), prometheus.NewRegistry(), time.Second)
		ctx, stop := context.WithCancel(t.Context())
		var failed time.Time
		var pauses []time.Duration
		run := func(ctx, _ context.Context) error {
			if !failed.IsZero() {
				pauses = append(pauses, time.Since(failed))
			}
			switch len(pauses) {
			case 12: // it runs for once
				<-time.After(steadyAfter + time.Second)
			case 13:
				stop()
			}
			failed = time.Now()
			return errors.New("broken")
		}
		if err := s.Keep(ctx, ctx, Task{Name: "a", Run: run}); err != nil {
			t.Errorf("Keep = %v", err)
		}
		if long, short := pauses[11], pauses[12]; long < lastPause*4/5 || short > firstPause*6/5 {
			t.Errorf("after twelve failures a pause of %v, after a steady run one of %v", long, short)
		}
	})
}

func TestDrainTellsWhetherItCut(t *testing.T) {
	for _, test := range []struct {
		needs time.Duration
		cut   bool
	}{{3 * time.Second, false}, {time.Minute, true}} {
		synctest.Test(t, func(t *testing.T) {
			core, logged := observer.New(zap.InfoLevel)
			ctx, stop := context.WithCancel(t.Context())
			stop()
			if err := staged(zap.New(core), prometheus.NewRegistry(), 20*time.Second, []Task{{Name: "a", Run: func(_, cut context.Context) error {
				wait(cut, test.needs)
				return nil
			}}}).Run(ctx); err != nil {
				t.Errorf("Run = %v", err)
			}
			over := logged.FilterMessage("stopped").All()
			want := map[string]any{"event": "drain_over", "took": min(test.needs, 20*time.Second), "cut": test.cut}
			if len(over) != 1 || cmp.Diff(want, over[0].ContextMap()) != "" {
				t.Errorf("lines %v, want one with %v", over, want)
			}
		})
	}
}
