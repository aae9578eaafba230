package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// house holds the running rooms in the order in which they started, and stops them backwards. A stage that the start gave up on
// may still bring a room while the house stops, or later: it is then ended at once.
type house struct {
	log   *zap.Logger
	fail  context.CancelCauseFunc // called when a room ends by itself
	base  context.Context         //nolint:containedctx // values only: each room has a cancellation of its own, so that the order of stopping is ours
	group errgroup.Group
	limit time.Duration // how long one room may take to stop; set before stop

	mu    sync.Mutex // held while the fields below are used, and to start a room
	rooms []room
	ended bool // stop has been through all rooms
}

// room is one thing to stop: a goroutine to cancel and wait for, or something to close.
type room struct {
	name string
	stop func() error
}

func newHouse(ctx context.Context, log *zap.Logger, fail context.CancelCauseFunc) *house {
	return &house{log: log, base: context.WithoutCancel(ctx), fail: fail, limit: stopLimit}
}

// start runs a room until stop comes to it, or until somebody stops it earlier by what start returns; its second call does
// nothing. A room that ends by itself ends the process.
func (h *house) start(name string, run func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(h.base)
	ended := make(chan error, 1)
	live := func() {
		err := run(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("ended by itself")
			}
			h.fail(fmt.Errorf("%s: %w", name, err))
		}
		ended <- err
	}
	stop = sync.OnceValue(func() error {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
	if !h.add(room{name, stop}, func() { h.group.Go(func() error { live(); return nil }) }) {
		cancel()
		live() // its context has ended: it lets go of what it holds
		h.leave(room{name, stop})
	}
	return stop
}

// onStop adds something to be done when its turn to stop comes, at once if that has passed.
func (h *house) onStop(name string, stop func() error) {
	if r := (room{name, stop}); !h.add(r, func() {}) {
		h.leave(r)
	}
}

// add begins a room and notes it; it does neither, and returns false, once the house has stopped.
func (h *house) add(r room, begin func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return false
	}
	begin()
	h.rooms = append(h.rooms, r)
	return true
}

// leave ends a room that came too late for stop to tell of its error.
func (h *house) leave(r room) {
	h.log.Warn("a room came after the end", zap.String("room", r.name), zap.NamedError("stopped", r.stop()))
}

// last takes the room that started last; ok is false, and the house ended, when there is none.
func (h *house) last() (r room, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.rooms) == 0 {
		h.ended = true
		return room{}, false
	}
	r = h.rooms[len(h.rooms)-1]
	h.rooms = h.rooms[:len(h.rooms)-1]
	return r, true
}

// stop ends every room, the last started first, and returns what went wrong. A room that does not end within the limit is left
// behind, so that it cannot keep the others, or the process, from ending.
func (h *house) stop() error {
	var failed []error
	left := false
	for r, ok := h.last(); ok; r, ok = h.last() {
		err := h.stopWithin(r)
		left = left || errors.Is(err, errLeft)
		if err != nil {
			failed = append(failed, fmt.Errorf("stop %s: %w", r.name, err))
		}
		h.log.Debug("stopped", zap.String("room", r.name))
	}
	if !left {
		_ = h.group.Wait() // every room has already given its error to its stop
	}
	return errors.Join(failed...)
}

// stopLimit is what a room may take beyond the time it was given to drain: one request to the security module, a last commit.
const stopLimit = 30 * time.Second

// errLeft is a room that does not end.
var errLeft = errors.New("it does not end; left behind")

func (h *house) stopWithin(r room) error {
	ended := make(chan error, 1)
	go func() { ended <- r.stop() }()
	limit := time.NewTimer(h.limit)
	defer limit.Stop()
	select {
	case err := <-ended:
		return err
	case <-limit.C:
		return fmt.Errorf("%w after %v", errLeft, h.limit)
	}
}
