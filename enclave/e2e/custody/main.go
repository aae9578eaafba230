// Command custody tells the whole story of a master key, step by step: a simulated enclave and its parent, three AWS accounts that hold a
// share each, DynamoDB, PostgreSQL, and everything that an operator, an upgrade or a hostile host does to them.
//
// AWS KMS and STS are stood in for by package kmstest; all else is the product's own binaries, DynamoDB Local and PostgreSQL. Every step
// says what was seen; one that sees something else ends the command with exit code 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole command; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	o := options{refresh: 1}
	flags := flag.NewFlagSet("custody", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.dir, "dir", "", "new directory for keys, configurations, logs and sockets, which stays (default: a temporary one)")
	flags.StringVar(&o.binaries, "binaries", "", "directory of the two product binaries (default: beside this one)")
	flags.IntVar(&o.keys, "keys", 100, "how many keys are imported")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 || o.keys < 2 {
		_, _ = fmt.Fprintln(stderr, "custody: want no arguments, and 2 keys or more")
		return 2
	}
	return rig.Tell("custody", stdout, stderr, func(ctx context.Context, t *rig.Transcript) error { return tell(ctx, o, t) })
}

type options struct {
	dir      string
	binaries string
	keys     int
	refresh  int // seconds between two looks at the signer state; 0 is none, for a replica that is alone: a rotation then waits for nobody
}

// tell makes the world, tells the story in it, and takes it down again.
func tell(ctx context.Context, o options, t *rig.Transcript) (err error) {
	if o.binaries, err = rig.Binaries(o.binaries); err != nil {
		return err
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "cc"); err != nil { // a short name: sockets lie in it
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	s := &story{world: w, t: t}
	defer func() {
		if err != nil {
			err = s.explain(err)
		}
		err = errors.Join(err, s.halt())
	}()
	return s.tell(ctx)
}
