// Package supervisor keeps tasks running until they are asked to end.
package supervisor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/logging"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/streak"
)

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	jitter     = 0.2
	// steadyAfter is how long a restarted task has to run before it counts as healthy again.
	steadyAfter = 10 * time.Second
)

// ErrDrainOver is the cause with which connections are cut that outlived the drain time.
var ErrDrainOver = errors.New("drain time is over")

var errEnded = errors.New("ended without being asked to")

// Unmarked takes the mark of [Permanent] off.
func Unmarked(err error) error {
	if permanent, ok := errors.AsType[*backoff.PermanentError](err); ok {
		return permanent.Err
	}
	return err
}

// Task is one long-running part.
type Task struct {
	Name string
	// Run blocks until all that it started has ended. When ctx ends it takes no new work and finishes what it has; when
	// cut ends it drops that too. An error that waiting cannot heal is wrapped by [Permanent]; after any other, Run is called again.
	Run func(ctx, cut context.Context) error
}

// Permanent marks an error that no restart heals; it ends the process.
func Permanent(err error) error { return backoff.Permanent(err) }

// Supervisor runs tasks in stages.
type Supervisor struct {
	log      *zap.Logger
	drain    time.Duration
	stages   [][]Task
	naming   sync.Mutex // held while a task takes its name in failures and kept, and while it gives it back
	failures *prometheus.CounterVec
	kept     *roll
}

// New prepares a supervisor. On shutdown the stages end one after the other in the order in which they were added, and what is
// left after drain is cut.
func New(log *zap.Logger, metrics prometheus.Registerer, drain time.Duration) *Supervisor {
	kept := newRoll()
	metrics.MustRegister(kept) // as promauto does
	return &Supervisor{
		log:   log,
		drain: drain,
		kept:  kept,
		failures: promauto.With(metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "containment_parent_task_failures_total",
			Help: "Failures of supervised tasks; each is followed by a restart.",
		}, []string{"task"}),
	}
}

// Add adds a stage before Run.
func (s *Supervisor) Add(stage ...Task) { s.stages = append(s.stages, stage) }

// Run runs every task until ctx ends or a task fails for good; it returns that task's error after all have ended.
func (s *Supervisor) Run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	cut, stopClock := cutAfter(ctx, s.drain)
	defer stopClock()

	var all sync.WaitGroup
	var began time.Time
	all.Go(func() {
		<-ctx.Done()
		began = time.Now()
		s.log.Info("stopping", logging.DrainBegun.Field(), zap.Duration("at_most", s.drain))
	})
	s.start(ctx, cut, s.stages, &all, end)
	all.Wait()
	s.log.Info("stopped", logging.DrainOver.Field(), zap.Duration("took", time.Since(began)), zap.Bool("cut", cut.Err() != nil))
	if permanent, ok := errors.AsType[*failedForGood](context.Cause(ctx)); ok {
		return permanent
	}
	return nil
}

// start starts the tasks of all stages. Those of the first end with ctx, those of the next when the first have ended, and so on.
func (s *Supervisor) start(ctx, cut context.Context, stages [][]Task, all *sync.WaitGroup, end context.CancelCauseFunc) {
	if len(stages) == 0 {
		return
	}
	var members sync.WaitGroup
	for _, task := range stages[0] {
		members.Go(func() {
			if err := s.Keep(ctx, cut, task); err != nil {
				s.log.Error("task failed for good", logging.TaskGivenUp.Field(), zap.String("task", task.Name), zap.Error(err))
				end(&failedForGood{task.Name, err})
			}
		})
	}
	behind, release := context.WithCancel(context.WithoutCancel(ctx))
	all.Go(func() {
		<-ctx.Done() // also a stage without tasks waits for its turn
		members.Wait()
		release()
	})
	s.start(behind, cut, stages[1:], all, end)
}

// failedForGood is the cause that ends all tasks when one failed permanently.
type failedForGood struct {
	task string
	err  error
}

func (f *failedForGood) Error() string { return f.task + ": " + f.err.Error() }
func (f *failedForGood) Unwrap() error { return f.err }

// Keep runs a task again whenever it fails, until ctx ends. It returns an error only when waiting cannot help. Tasks that come and go
// while the others run are kept by one of them.
func (s *Supervisor) Keep(ctx, cut context.Context, task Task) error {
	log := s.log.With(zap.String("task", task.Name))
	r := s.enter(task.Name)
	defer s.leave(task.Name, r)
	pauses := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstPause), backoff.WithMaxInterval(lastPause),
		backoff.WithRandomizationFactor(jitter), backoff.WithMaxElapsedTime(0))
	var reasons streak.Streak
	for {
		steadily := time.AfterFunc(steadyAfter, func() {
			reasons.Heal(log.With(logging.TaskHealed.Field()), "task runs steadily again")
		})
		err := task.Run(ctx, cut)
		if !steadily.Stop() {
			pauses.Reset()
		}
		if ctx.Err() != nil {
			if err != nil {
				log.Warn("task ended with an error while stopping", zap.Error(err))
			}
			return nil
		}
		if err == nil {
			err = errEnded
		}
		s.failures.WithLabelValues(task.Name).Inc()
		if permanent, ok := errors.AsType[*backoff.PermanentError](err); ok {
			return permanent.Err
		}
		reasons.Fail(log.With(logging.TaskFailed.Field()), "task failed and is restarted", err.Error(), err)
		s.kept.change(r, record{err: err})
		if !wait(ctx, pauses.NextBackOff()) {
			return nil
		}
		s.kept.change(r, record{err: err, restarted: time.Now()})
	}
}

func (s *Supervisor) enter(task string) *record {
	s.naming.Lock()
	defer s.naming.Unlock()
	s.failures.WithLabelValues(task)
	return s.kept.enter(task)
}

func (s *Supervisor) leave(task string, r *record) {
	s.naming.Lock()
	defer s.naming.Unlock()
	if s.kept.leave(task, r) {
		s.failures.DeleteLabelValues(task)
	}
}

// Healthy returns an error that names the tasks which failed and have not run steadily since, with their reasons.
func (s *Supervisor) Healthy() error { return s.kept.healthy() }

// cutAfter returns a context that ends d after ctx has ended.
func cutAfter(ctx context.Context, d time.Duration) (context.Context, func()) {
	cut, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	clock := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(clock)
		if wait(cut, d) {
			cancel(ErrDrainOver)
		}
	})
	return cut, func() {
		cancel(nil)
		if !stop() {
			<-clock
		}
	}
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
