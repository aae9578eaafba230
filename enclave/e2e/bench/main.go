// Command bench measures the real signer: what a signature costs in it, against the bare BLS signature in the same run.
//
// It starts the product's binaries beside it over keys of its own, drives them with a bounded closed loop, and prints
// ratios. Then it measures attested TLS at a signer with a software security module, in processes of its own; the slashing stores
// over database servers of its own; and the signer with a distant one. It fails if any request is not answered as it should be; a
// figure that misses its target is only reported.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(start(os.Args[1:], os.Stdout, os.Stderr)) }

const allFigures = "plain,attested,latency,batches,memory,burst,handshake,rotation,flood,postgres,distant,dynamodb"

type options struct {
	binaries string
	dir      string
	figures  string
	window   time.Duration
	repeats  int
	burst    int
}

// The roles of the processes that the command starts of itself, as their first argument.
const (
	simulatedRole = "simulated-signer"
	floodRole     = "flood"
)

// start is the whole command; it returns the exit code.
func start(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case len(args) > 0 && args[0] == simulatedRole:
		err = runSimulated(ctx, args[1:], stderr)
	case len(args) > 0 && args[0] == floodRole:
		err = runFlood(ctx, args[1:], stdout, stderr)
	default:
		return measure(ctx, args, stdout, stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// measure is the command that people run; it returns the exit code.
func measure(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.binaries, "binaries", "", "directory of the product's binaries (default: beside this one)")
	flags.StringVar(&o.dir, "dir", "", "directory for a temporary one with keys and databases; it should be on a real disk (default: the system's)")
	flags.StringVar(&o.figures, "figures", allFigures, "which figures, separated by commas")
	flags.DurationVar(&o.window, "time", 2*time.Second, "how long each phase runs each time")
	flags.IntVar(&o.repeats, "repeats", 5, "how often each phase runs; the figures are medians")
	flags.IntVar(&o.burst, "burst-connections", size, fmt.Sprintf("connections of the slot burst of %d votes; fewer if the signer may open few files", size))
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := o.check(); err != nil {
		_, _ = fmt.Fprintf(stderr, "bench: %v\n", err)
		return 2
	}
	if err := bench(ctx, o, stdout, stderr); err != nil {
		_, _ = fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// check completes the options.
func (o *options) check() error {
	if o.window <= 0 || o.repeats < 1 || o.burst < 1 {
		return errors.New("-time, -repeats and -burst-connections must be positive")
	}
	for name := range strings.SplitSeq(o.figures, ",") {
		if !slices.Contains(strings.Split(allFigures, ","), name) {
			return fmt.Errorf("-figures: %q is not one of %s", name, allFigures)
		}
	}
	if o.binaries == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the product's binaries: %w", err)
		}
		o.binaries = filepath.Dir(self)
	}
	var err error
	if o.binaries, err = filepath.Abs(o.binaries); err != nil {
		return fmt.Errorf("-binaries: %w", err)
	}
	return nil
}

// bench makes what the servers need, measures, and takes everything away again.
func bench(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp(o.dir, "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	sockets, err := os.MkdirTemp("", "cc") // short: a socket's path has little room
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(sockets)) }()
	p := &plan{
		options: o, progress: stderr,
		site: site{binaries: o.binaries, dir: dir, sockets: sockets, batch: o.has("batches")},
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if err := p.measure(ctx); err != nil {
		return err
	}
	if err := p.measureParts(ctx); err != nil {
		return err
	}
	p.report(table{stdout})
	return nil
}

// has tells whether a figure is wanted.
func (o options) has(name string) bool { return slices.Contains(strings.Split(o.figures, ","), name) }
