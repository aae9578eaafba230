package supervisor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// standing is how one task is.
type standing int

// The values of the metric: whatever is below steady is trouble.
const (
	waiting   standing = iota // it failed, and waits for its restart
	restarted                 // it runs, but not yet for steadyAfter
	steady
)

// record is what is known of a task that is kept.
type record struct {
	err       error     // of its last failure; nil: none
	restarted time.Time // after it; zero while it waits
}

func (r *record) standing() standing {
	switch {
	case r.err == nil:
		return steady
	case r.restarted.IsZero():
		return waiting
	case time.Since(r.restarted) < steadyAfter:
		return restarted
	}
	return steady
}

// roll is the tasks that are kept.
type roll struct {
	mu    sync.Mutex // held while anything in here is read or changed
	tasks map[string]*record
	desc  *prometheus.Desc
}

func newRoll() *roll {
	return &roll{tasks: map[string]*record{}, desc: prometheus.NewDesc("containment_parent_task_state",
		"How a supervised task is: 2 = it runs steadily, 1 = it was restarted less than ten seconds ago, 0 = it failed and waits for its restart.",
		[]string{"task"}, nil)}
}

// enter begins a record. A route that is replaced has one name for two tasks, while the connections of the old one live on: the
// new one's record counts.
func (l *roll) enter(task string) *record {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &record{}
	l.tasks[task] = r
	return r
}

func (l *roll) change(r *record, to record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*r = to
}

// leave ends a record, of a task that has ended as it was asked to. It is true unless another task has taken the name over.
func (l *roll) leave(task string, r *record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tasks[task] != r {
		return false
	}
	delete(l.tasks, task)
	return true
}

// healthy returns an error that names what does not run steadily.
func (l *roll) healthy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var failing []error
	for _, name := range slices.Sorted(maps.Keys(l.tasks)) {
		if r := l.tasks[name]; r.standing() != steady {
			failing = append(failing, fmt.Errorf("task %s: %w", name, r.err))
		}
	}
	return errors.Join(failing...)
}

// Describe implements [prometheus.Collector].
func (l *roll) Describe(to chan<- *prometheus.Desc) { to <- l.desc }

// Collect implements [prometheus.Collector].
func (l *roll) Collect(to chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, r := range l.tasks {
		to <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, float64(r.standing()), name)
	}
}
