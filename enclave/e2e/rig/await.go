package rig

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// AwaitLimit is how long anything may take: the longest pause between two tries of the chamber is 30 s, give or take a third.
const AwaitLimit = 60 * time.Second

// ErrEnded is a reason not to wait any longer: a process is not there any more.
var ErrEnded = errors.New("ended by itself")

// Await asks until the answer is yes, for a minute at most. The error tells what was waited for, and the last reason why it was not there.
func Await(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, AwaitLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := ask()
		if done {
			return nil
		}
		if errors.Is(err, ErrEnded) {
			return fmt.Errorf("waited for %s: %w", what, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited for %s: %w", what, context.Cause(ctx)), err)
		}
	}
}

// During does something with a context that also ends when one of the processes does, with that as its cause.
func During(ctx context.Context, do func(context.Context) error, processes ...*Process) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	for _, p := range processes {
		watching.Go(func() {
			select {
			case <-p.done:
				cancel(fmt.Errorf("the %s %w", p.name, ErrEnded))
			case <-ctx.Done():
			}
		})
	}
	err := do(ctx)
	cancel(nil)
	watching.Wait()
	return err
}
