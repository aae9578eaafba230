package main

import (
	"context"
	"time"
)

// leaveFor calls ask when ctx ends, and gives a context that ends d later: between the two, clients are still let in, and are asked
// to come back by another way. Nothing of it is left after release.
func leaveFor(ctx context.Context, d time.Duration, ask func()) (late context.Context, release func()) {
	late, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		defer end()
		ask()
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-late.Done():
		}
	})
	return late, func() {
		end()
		if !stop() {
			<-ended
		}
	}
}
