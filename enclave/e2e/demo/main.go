// Command demo runs the whole split on a laptop and shows it at work, step by step, through the front door.
//
// It starts the two product binaries beside it, the parent and the signer, on the platform "simulated", and the stand-in of AWS KMS, makes
// development keys on its first run, and then is nothing but a client and an operator.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole command; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.dir, "dir", "run", "directory for keys, configuration, sockets, databases and what KMS keeps; made on first run")
	flags.StringVar(&o.binaries, "binaries", "", "directory of the two product binaries and of kmsd (default: beside this one)")
	flags.StringVar(&o.through, "through", "", "program that parent and signer are started through, which gets binary and arguments and becomes what it starts")
	flags.BoolVar(&o.stay, "stay", false, "stay up after the demonstration until interrupted")
	flags.IntVar(&o.ports.API, "port-api", 9443, "TCP port of the API over attested TLS")
	flags.IntVar(&o.ports.Health, "port-health", 9000, "TCP port of the plaintext health endpoints")
	flags.IntVar(&o.ports.Metrics, "port-metrics", 3000, "TCP port of the metrics")
	flags.IntVar(&o.ports.Parent, "port-parent", 3001, "TCP port of the parent's own health and metrics")
	flags.IntVar(&o.ports.KMS, "port-kms", 3002, "TCP port of the stand-in of AWS KMS")
	flags.IntVar(&o.ports.Agent, "port-agent", 3003, "TCP port of what gives the signer credentials for it")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	return rig.Tell("demo", stdout, stderr, func(ctx context.Context, t *rig.Transcript) error { return demonstrate(ctx, o, t) })
}

type options struct {
	dir      string
	binaries string
	through  string
	stay     bool
	ports    ports
}

type ports struct{ API, Health, Metrics, Parent, KMS, Agent int }

// demonstrate runs the split and the steps, and always takes the split down again.
func demonstrate(ctx context.Context, o options, t *rig.Transcript) (err error) {
	w, err := prepareWorld(o)
	if err != nil {
		return err
	}
	t.Note("keys, configuration and databases are in %s", w.shown)
	cloud, err := startCloud(ctx, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cloud.stop()) }()
	if err := w.configure(ctx); err != nil {
		return err
	}
	split, err := w.startSplit(cloud)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(split, t)) }()

	if err = showAll(ctx, w, split, t); err == nil && o.stay {
		w.next(t)
		err = stay(ctx, split)
	}
	if err != nil {
		return rig.Explain(err, split.Parent, split.Signer)
	}
	return nil
}

// stay returns when it is interrupted, or with an error when one of the processes has ended.
func stay(ctx context.Context, s *rig.Split) error {
	err := rig.During(ctx, func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}, s.Parent, s.Signer)
	if errors.Is(err, rig.ErrEnded) {
		return err
	}
	return nil
}

func stop(s *rig.Split, t *rig.Transcript) error {
	t.Title("Drain both processes")
	err := s.Stop()
	if err == nil {
		t.Note("signer and parent stopped with exit code 0")
	}
	return err
}
