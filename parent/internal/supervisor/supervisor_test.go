package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// staged is a supervisor of stages.
func staged(log *zap.Logger, registry prometheus.Registerer, drain time.Duration, stages ...[]Task) *Supervisor {
	s := New(log, registry, drain)
	for _, stage := range stages {
		s.Add(stage...)
	}
	return s
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failures is the value of the counter for a task.
func failures(t *testing.T, registry *prometheus.Registry, task string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "containment_parent_task_failures_total" && m.GetLabel()[0].GetValue() == task {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no failure counter for task %s", task)
	return 0
}

func TestFailedTaskIsRestartedAndSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.InfoLevel)
		registry := prometheus.NewRegistry()
		runs := 0
		flaky := Task{Name: "flaky", Run: func(ctx, _ context.Context) error {
			runs++
			switch {
			case runs <= 3:
				return errors.New("refused")
			case runs == 4:
				return nil // also a failure
			}
			<-ctx.Done()
			return nil
		}}
		s := staged(zap.New(core), registry, time.Second, []Task{flaky})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()

		<-time.After(3 * time.Second) // virtual; four pauses of 0.1 to 0.4 s have passed
		if got := failures(t, registry, "flaky"); got != 4 {
			t.Errorf("%v failures counted, want 4", got)
		}
		if err := s.Healthy(); err == nil || !strings.Contains(err.Error(), "task flaky: ended without being asked to") {
			t.Errorf("Healthy shortly after a restart = %v", err)
		}
		<-time.After(steadyAfter)
		if err := s.Healthy(); err != nil {
			t.Errorf("Healthy after a steady run = %v", err)
		}
		var reasons []any
		for _, e := range logged.FilterMessage("task failed and is restarted").All() {
			reasons = append(reasons, e.ContextMap()["reason"])
		}
		if diff := cmp.Diff([]any{"refused", "ended without being asked to"}, reasons); diff != "" {
			t.Errorf("logged reasons:\n%s", diff)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestPermanentErrorEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := errors.New("permission denied")
		var ended []string
		var mu sync.Mutex
		patient := func(name string) Task {
			return Task{Name: name, Run: func(ctx, _ context.Context) error {
				<-ctx.Done()
				mu.Lock()
				defer mu.Unlock()
				ended = append(ended, name)
				return nil
			}}
		}
		bad := Task{Name: "bad", Run: func(context.Context, context.Context) error { return Permanent(denied) }}
		err := staged(zap.NewNop(), prometheus.NewRegistry(), time.Second, []Task{patient("front")}, []Task{bad, patient("back")}).Run(t.Context())
		if !errors.Is(err, denied) || err.Error() != "bad: permission denied" {
			t.Errorf("Run = %v", err)
		}
		if diff := cmp.Diff([]string{"front", "back"}, ended); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStagesEndInOrderWithinTheDrainTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended []string
		var mu sync.Mutex
		task := func(name string, work time.Duration) Task {
			return Task{Name: name, Run: func(ctx, cut context.Context) error {
				<-ctx.Done()
				if !wait(cut, work) && !errors.Is(context.Cause(cut), ErrDrainOver) {
					t.Errorf("%s was cut with cause %v", name, context.Cause(cut))
				}
				mu.Lock()
				defer mu.Unlock()
				ended = append(ended, name)
				return nil
			}}
		}
		s := staged(zap.NewNop(), prometheus.NewRegistry(), 20*time.Second, []Task{task("slow front", 3*time.Second), task("front", 2*time.Second)}, nil, []Task{task("back", time.Hour)})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		start := time.Now()
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("shutdown took %v, want the drain time of 20s", took)
		}
		if want := []string{"front", "slow front", "back"}; !slices.Equal(ended, want) {
			t.Errorf("tasks ended in the order %v, want %v", ended, want)
		}
	})
}

func TestErrorWhileStoppingIsLogged(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	ctx, stop := context.WithCancel(t.Context())
	s := staged(zap.New(core), prometheus.NewRegistry(), time.Second, []Task{{Name: "a", Run: func(ctx, _ context.Context) error {
		stop()
		<-ctx.Done()
		return errors.New("half a page was left")
	}}})
	if err := s.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
	if logged.FilterMessage("task ended with an error while stopping").Len() != 1 {
		t.Errorf("logged %v", logged.All())
	}
}
