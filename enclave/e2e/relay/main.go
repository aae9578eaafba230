// Command relay measures the parent's forwarder: bytes per CPU second, connections per second, added latency, and what a connection
// costs that waits, beside socat and a bare relay of two copying goroutines.
//
// Each relay is a process of its own between a TCP client and a server on a unix socket, as ingress is on a laptop. The relays take
// turns, and a figure is the median of its repeats. With -churn it opens and closes that many connections through a whole parent instead, and
// prints what it then holds.
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

func main() { os.Exit(start(os.Args[1:], os.Stdout, os.Stderr)) }

// bareRole is the first argument of the process that is the bare relay.
const bareRole = "bare"

type options struct {
	binaries string
	window   time.Duration
	repeats  int
	churn    int
}

func start(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) == 3 && args[0] == bareRole {
		return exit(runBare(ctx, args[1], args[2]), stderr)
	}
	var o options
	flags := flag.NewFlagSet("relay", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.binaries, "binaries", "", "directory of the product's binaries (default: beside this one)")
	flags.DurationVar(&o.window, "time", time.Second, "how long each measurement takes")
	flags.IntVar(&o.repeats, "repeats", 7, "how often each is made; the figures are medians")
	flags.IntVar(&o.churn, "churn", 0, "open and close this many connections through a whole parent, print what it holds meanwhile, and fail if that grows")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 || o.window <= 0 || o.repeats < 1 || o.churn < 0 {
		_, _ = fmt.Fprintln(stderr, "relay: want -time above 0, -repeats 1 or more, -churn 0 or more, and no arguments")
		return 2
	}
	return exit(o.run(ctx, stdout), stderr)
}

func exit(err error, stderr io.Writer) int {
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "relay: %v\n", err)
		return 1
	}
	return 0
}

func (o options) run(ctx context.Context, out io.Writer) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if o.binaries == "" {
		o.binaries = filepath.Dir(self)
	}
	dir, err := os.MkdirTemp("", "relay")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := listen(filepath.Join(dir, "9443.sock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	proxy := filepath.Join(o.binaries, "containment-chamber-enclave-proxy")
	if o.churn > 0 {
		return churn(ctx, out, proxy, dir, o.churn)
	}
	return compare(ctx, out, s, contestants(proxy, self, s.path), o)
}
