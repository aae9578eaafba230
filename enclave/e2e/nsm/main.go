// Command nsm boots enclave images in QEMU's machine nitro-enclave and tells in TAP whether the product works with a real NSM device.
//
// The device signs no documents, so that the image of most checks signs them under a development root; chamber-enclave as shipped must refuse
// them. KMS, STS and DynamoDB are stand-ins under AWS's names. The script e2e-nsm.sh builds what it starts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// check is one line of the result.
type check struct {
	name string
	run  func(*story, context.Context) error
}

// options are the command line.
type options struct {
	dir      string // where everything happens; it is made
	binaries string // of the product and of the guest
	parts    string // QEMU and the kernel
}

// run is the whole command; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("nsm", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var o options
	flags.StringVar(&o.dir, "dir", "", "`directory` for images, sockets and logs")
	flags.StringVar(&o.binaries, "binaries", "", "`directory` of the binaries under test")
	flags.StringVar(&o.parts, "parts", ".cache/qemu-nsm", "`directory` with QEMU, its firmware, the kernel and its modules")
	list := flags.Bool("list", false, "print the names of the checks, and do nothing")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *list {
		for _, c := range checks() {
			_, _ = fmt.Fprintln(stdout, c.name)
		}
		return 0
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := tell(ctx, o, stdout); err != nil {
		_, _ = fmt.Fprintf(stderr, "nsm: %v\n", err)
		return 1
	}
	return 0
}

func tell(ctx context.Context, o options, out io.Writer) (err error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	s := &story{world: w, out: out}
	defer func() { err = errors.Join(err, s.halt(), w.stop()) }()
	if failures := s.report(ctx, checks()); failures > 0 {
		return fmt.Errorf("%d of %d checks failed", failures, len(checks()))
	}
	return nil
}

// report runs the checks one after another, each on what the earlier ones left, and returns how many failed. After the first failure the
// others are not run. https://testanything.org/tap-version-13-specification.html
func (s *story) report(ctx context.Context, checks []check) (failures int) {
	_, _ = fmt.Fprintf(s.out, "TAP version 13\n1..%d\n", len(checks))
	for i, c := range checks {
		if failures > 0 {
			failures++
			_, _ = fmt.Fprintf(s.out, "not ok %d - %s\n#   not run\n", i+1, c.name)
			continue
		}
		began := time.Now()
		err := c.run(s, ctx)
		took := time.Since(began).Round(time.Millisecond)
		if err == nil {
			_, _ = fmt.Fprintf(s.out, "ok %d - %s\n# %v\n", i+1, c.name, took)
			continue
		}
		failures++
		_, _ = fmt.Fprintf(s.out, "not ok %d - %s\n", i+1, c.name)
		s.note("%v: %v", took, s.explain(err))
	}
	return failures
}

// note prints lines that are no results.
func (s *story) note(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		_, _ = fmt.Fprintf(s.out, "#   %s\n", strings.TrimRight(line, "\n"))
	}
}
