// Command demo runs the whole split on a laptop and shows it at work, step by step, through the front door.
//
// It starts the two product binaries beside it, the parent and the signer, on the platform "simulated", makes
// development keys on its first run, and then is nothing but a client.
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
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole command; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.dir, "dir", "run", "directory for keys, configuration, sockets and the slashing database; made on first run")
	flags.StringVar(&o.binaries, "binaries", "", "directory of the two product binaries (default: beside this one)")
	flags.BoolVar(&o.stay, "stay", false, "stay up after the demonstration until interrupted")
	flags.IntVar(&o.ports.api, "port-api", 9443, "TCP port of the API over attested TLS")
	flags.IntVar(&o.ports.health, "port-health", 9000, "TCP port of the plaintext health endpoints")
	flags.IntVar(&o.ports.metrics, "port-metrics", 3000, "TCP port of the metrics")
	flags.IntVar(&o.ports.parent, "port-parent", 3001, "TCP port of the parent's own health and metrics")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demonstrate(ctx, o, newTranscript(stdout)); err != nil {
		_, _ = fmt.Fprintf(stderr, "\ndemo: %v\n", err)
		return 1
	}
	return 0
}

type options struct {
	dir      string
	binaries string
	stay     bool
	ports    ports
}

type ports struct{ api, health, metrics, parent int }

// demonstrate runs the split and the steps, and always takes the split down again.
func demonstrate(ctx context.Context, o options, t *transcript) (err error) {
	shown := o.dir // as the caller named it
	o.dir, o.binaries, err = absolute(o.dir, o.binaries)
	if err != nil {
		return err
	}
	w, err := prepareWorld(o)
	if err != nil {
		return err
	}
	w.shown = shown
	t.note("keys, configuration and databases are in %s", w.shown)

	split, err := startSplit(w, o.binaries)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, split.stop(t)) }()

	stepsCtx, cancel := split.during(ctx)
	err = showAll(stepsCtx, w, split, t)
	cancel()
	if err != nil {
		return split.explain(err)
	}
	if !o.stay {
		return nil
	}
	t.next(w)
	if err := split.ended(ctx.Done()); err != nil {
		return split.explain(err)
	}
	return nil
}

func absolute(dir, binaries string) (string, string, error) {
	if binaries == "" {
		self, err := os.Executable()
		if err != nil {
			return "", "", fmt.Errorf("find the product binaries: %w", err)
		}
		binaries = filepath.Dir(self)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", "", fmt.Errorf("resolve --dir: %w", err)
	}
	binaries, err = filepath.Abs(binaries)
	if err != nil {
		return "", "", fmt.Errorf("resolve --binaries: %w", err)
	}
	return dir, binaries, nil
}

// transcript is what a person reads.
type transcript struct {
	w     io.Writer
	began time.Time
	step  int
}

func newTranscript(w io.Writer) *transcript { return &transcript{w: w, began: time.Now()} }

// title begins a numbered step.
func (t *transcript) title(format string, args ...any) {
	t.step++
	_, _ = fmt.Fprintf(t.w, "\n%d. %s\n", t.step, fmt.Sprintf(format, args...))
}

// note is a line of the current step.
func (t *transcript) note(format string, args ...any) {
	_, _ = fmt.Fprintf(t.w, "   %s\n", fmt.Sprintf(format, args...))
}

// since is the time since the command began.
func (t *transcript) since() time.Duration { return time.Since(t.began).Round(10 * time.Millisecond) }
