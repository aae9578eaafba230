// Package progress shows how far a load of keys is.
package progress

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

const (
	tick   = 200 * time.Millisecond // how often the bar moves
	often  = time.Second            // between two log lines, at least
	seldom = 5 * time.Second        // between two log lines, at most
	share  = 10                     // a line for each tenth of the keys
)

// During calls load, and until it returns tells of look: on the bar, if there is one, and in the log every five seconds or with
// every tenth of the keys, but no more than once a second. What is over within a second gets no line. look must be safe for
// concurrent use.
func During(load func(), look func() filesystem.Progress, log *zap.Logger, bar *Bar) {
	w := &watcher{look: look, log: log, bar: bar, told: time.Now()}
	over := make(chan struct{})
	var g sync.WaitGroup
	g.Go(func() { w.run(over) })
	defer g.Wait()
	defer close(over)
	load()
}

type watcher struct {
	look func() filesystem.Progress
	log  *zap.Logger
	bar  *Bar
	told time.Time // of the last line
	done int       // as that line said
}

func (w *watcher) run(over <-chan struct{}) {
	t := time.NewTicker(tick)
	defer t.Stop()
	defer w.bar.hide()
	for {
		select {
		case <-t.C:
			w.tell(w.look())
		case <-over:
			return
		}
	}
}

func (w *watcher) tell(p filesystem.Progress) {
	if p.Total == 0 {
		return // the directories are still being read
	}
	w.bar.show(p)
	since := time.Since(w.told)
	if since < often || since < seldom && (p.Done-w.done)*share < p.Total {
		return
	}
	w.told, w.done = time.Now(), p.Done
	fields := []zap.Field{zap.Int("done", p.Done), zap.Int("of", p.Total), zap.Int("errors", p.Failed)}
	if p.Left > 0 {
		fields = append(fields, zap.Duration("left", p.Left.Round(time.Second)))
	}
	w.log.Info("loading keys", fields...)
}
