package egress

import (
	"context"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/supervisor"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// KeepFunc runs a task again whenever it fails, until ctx ends: [supervisor.Supervisor.Keep].
type KeepFunc func(ctx, cut context.Context, task supervisor.Task) error

// Table is the listeners of a route table, which can change while they run.
type Table struct {
	log     *zap.Logger
	metrics Metrics
	keep    KeepFunc
	changes chan settings
	asks    chan struct{} // see Ping
	ending  chan struct{} // closed by end when Run is asked to end
	end     func()
	first   []*Route // until Run or Release takes them

	mu    sync.Mutex     // held while a route is made, and while what is left of one is forgotten
	alike map[string]int // by name, how many routes have not ended yet: one that was replaced lives as long as its connections
}

// settings are what a table is made from.
type settings struct {
	cfg    Config
	routes []wire.Route
	done   chan struct{} // closed when they are followed
}

// NewTable prepares the listeners of a route table. Routes' names and vsock ports are unique.
func NewTable(cfg Config, routes []wire.Route, log *zap.Logger, metrics Metrics, keep KeepFunc) *Table {
	t := &Table{
		log: log, metrics: metrics, keep: keep, alike: make(map[string]int),
		changes: make(chan settings), asks: make(chan struct{}), ending: make(chan struct{}),
	}
	t.end = sync.OnceFunc(func() { close(t.ending) })
	for _, r := range routes {
		t.first = append(t.first, t.route(cfg, r))
	}
	return t
}

// route makes a route, and ended is called when it has ended.
func (t *Table) route(cfg Config, r wire.Route) *Route {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.alike[r.Name]++
	return New(cfg, r, t.log, t.metrics)
}

// ended forgets what a route that was taken out of the table has counted, once the last one of its name has ended.
func (t *Table) ended(r *Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.alike[r.route.Name]--; t.alike[r.route.Name] > 0 {
		return
	}
	delete(t.alike, r.route.Name)
	t.metrics.Forward.Forget(r.Name())
	t.metrics.Names.Forget(r.Name())
}

// Name is the table's name as a task.
func (*Table) Name() string { return "egress" }

// Bind opens all listeners for the Run to come.
func (t *Table) Bind() error {
	for i, r := range t.first {
		if err := r.Bind(); err != nil {
			for _, bound := range t.first[:i] {
				bound.Release()
			}
			return err
		}
	}
	return nil
}

// Release closes what Bind opened and no Run has taken.
func (t *Table) Release() {
	for _, r := range t.first {
		r.Release()
	}
}

// Change has the table follow another one while it runs, and returns when the new listeners are open. Routes that are as they were are
// not touched, and no live connection is. It gives up when ctx ends.
func (t *Table) Change(ctx context.Context, cfg Config, routes []wire.Route) {
	s := settings{cfg, routes, make(chan struct{})}
	select {
	case t.changes <- s:
	case <-ctx.Done():
		return
	}
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}

// Ping returns nil as soon as Run comes to answer, or when it has been asked to end.
func (t *Table) Ping(ctx context.Context) error {
	select {
	case t.asks <- struct{}{}:
		return nil
	case <-t.ending:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("egress does not answer: %w", context.Cause(ctx))
	}
}

// member is a route that runs.
type member struct {
	route *Route
	stop  context.CancelFunc // closes its listener; its connections live on
}

// Run forwards until ctx ends, lets what is open end by itself, and cuts the rest with cut.
func (t *Table) Run(ctx, cut context.Context) error {
	var all sync.WaitGroup
	running := make(map[string]member)
	start := func(r *Route) {
		whole := ctx
		ctx, stop := context.WithCancel(ctx)
		running[r.route.Name] = member{r, stop}
		all.Go(func() {
			defer stop()
			_ = t.keep(ctx, cut, supervisor.Task{Name: r.Name(), Run: func(ctx, cut context.Context) error {
				return supervisor.Unmarked(r.Run(ctx, cut)) // the other routes live, so that it is tried again whatever it is
			}})
			if whole.Err() == nil { // else all is told to the last
				t.ended(r)
			}
		})
	}
	for _, r := range t.first {
		start(r)
	}
	t.first = nil
	for {
		select {
		case s := <-t.changes:
			t.follow(s, running, start)
			close(s.done)
		case <-t.asks:
		case <-ctx.Done():
			t.end()
			all.Wait()
			return nil
		}
	}
}

// follow stops what is no longer wanted as it is, and then, since a port may have changed hands, starts what is new.
func (t *Table) follow(s settings, running map[string]member, start func(*Route)) {
	wanted := make(map[string]wire.Route, len(s.routes))
	for _, r := range s.routes {
		wanted[r.Name] = r
	}
	known := make(map[string]*resolve.Name, len(running))
	for name, m := range running {
		known[m.route.route.Host] = m.route.name
		if r, stays := wanted[name]; stays && r == m.route.route && m.route.cfg.sameBounds(s.cfg) {
			delete(wanted, name)
			continue
		}
		m.stop()
		m.route.WaitClosed()
		delete(running, name)
		t.log.Info("route closed; its live connections stay", zap.String("listener", m.route.Name()))
	}
	for _, r := range s.routes {
		if _, isNew := wanted[r.Name]; isNew {
			route := t.route(s.cfg, r)
			if before := known[r.Host]; before != nil { // what it found is judged by the new settings when it is dialed
				route.name.Inherit(before)
			}
			if err := route.Bind(); err != nil {
				t.log.Error("route cannot listen yet", zap.Error(err)) // it is tried again
			}
			start(route)
		}
	}
}

func (c Config) sameBounds(other Config) bool {
	return c.Limits == other.Limits && c.AllowLoopback == other.AllowLoopback
}
