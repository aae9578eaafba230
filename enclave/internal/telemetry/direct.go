package telemetry

import (
	"context"
	"io"
)

// Direct is an output that writes each line at once, in one call of w.Write, for a process without a parent. A writer that
// blocks blocks whoever logs; a write that fails is a dropped line.
func Direct(w io.Writer) Output { return direct{w} }

type direct struct{ w io.Writer }

func (d direct) put(line []byte) bool {
	_, err := d.w.Write(line)
	return err == nil
}

// resize has no buffer to change.
func (direct) resize(int) {}

// run has nothing to flush.
func (direct) run(ctx context.Context, _ *Logs) error {
	<-ctx.Done()
	return nil
}
