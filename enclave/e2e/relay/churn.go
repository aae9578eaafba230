package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// churn opens and closes n connections, 32 at a time, each with one request, and prints what the forwarder holds before, at each tenth,
// and at the end.
func churn(ctx context.Context, out io.Writer, c contestant, n int) error {
	r, err := c.run(ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%10s %12s %8s %8s\n", "connections", "resident MiB", "files", "threads")
	told := r.tell(out, 1)
	for tenth := range 10 {
		var left atomic.Int64
		left.Store(int64(n / 10))
		var all sync.WaitGroup
		errs := make([]error, 32)
		for i := range errs {
			all.Go(func() {
				for left.Add(-1) >= 0 && errs[i] == nil {
					errs[i] = once(ctx, r.address)
				}
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			_, _ = r.stop()
			return err
		}
		told = errors.Join(told, r.tell(out, (tenth+1)*(n/10)))
	}
	cpu, err := r.stop()
	_, _ = fmt.Fprintf(out, "%.0f µs of CPU time each\n", cpu.Seconds()*1e6/float64(n))
	return errors.Join(told, err)
}

// tell prints what the relay holds after n connections.
func (r *relay) tell(out io.Writer, n int) error {
	resident, err := r.resident()
	base := "/proc/" + strconv.Itoa(r.cmd.Process.Pid)
	files, err2 := os.ReadDir(base + "/fd")
	threads, err3 := os.ReadDir(base + "/task")
	_, _ = fmt.Fprintf(out, "%10d %12.1f %8d %8d\n", n, float64(resident)/(1<<20), len(files), len(threads))
	return errors.Join(err, err2, err3)
}
