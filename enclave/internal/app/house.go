package app

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// house holds the running rooms in the order in which they started, and stops them backwards.
// It is used by one goroutine.
type house struct {
	log   *zap.Logger
	fail  context.CancelCauseFunc // called when a room ends by itself
	base  context.Context         //nolint:containedctx // values only: each room has a cancellation of its own, so that the order of stopping is ours
	group errgroup.Group
	rooms []room
}

// room is one thing to stop: a goroutine to cancel and wait for, or something to close.
type room struct {
	name string
	stop func() error
}

func newHouse(ctx context.Context, log *zap.Logger, fail context.CancelCauseFunc) *house {
	return &house{log: log, base: context.WithoutCancel(ctx), fail: fail}
}

// start runs a room until stop comes to it, or until somebody stops it earlier by what start returns; its second call does
// nothing. A room that ends by itself ends the process.
func (h *house) start(name string, run func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(h.base)
	ended := make(chan error, 1)
	h.group.Go(func() error {
		err := run(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("ended by itself")
			}
			h.fail(fmt.Errorf("%s: %w", name, err))
		}
		ended <- err
		return nil
	})
	stop = sync.OnceValue(func() error {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
	h.onStop(name, stop)
	return stop
}

// onStop adds something to be done when its turn to stop comes.
func (h *house) onStop(name string, stop func() error) {
	h.rooms = append(h.rooms, room{name, stop})
}

// stop ends every room, the last started first, and returns what went wrong.
func (h *house) stop() error {
	var failed []error
	for i := len(h.rooms) - 1; i >= 0; i-- {
		r := h.rooms[i]
		if err := r.stop(); err != nil {
			failed = append(failed, fmt.Errorf("stop %s: %w", r.name, err))
		}
		h.log.Debug("stopped", zap.String("room", r.name))
	}
	h.rooms = nil
	_ = h.group.Wait() // every room has already given its error to its stop
	return errors.Join(failed...)
}
