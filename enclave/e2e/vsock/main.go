// Command vsock runs in a guest whose kernel has the loopback of AF_VSOCK, and tells in TAP whether the product works over it.
//
// It checks what only a kernel can show of shared/vsock, then the parent's commands as they are shipped, then the whole split.
// The script e2e-vsock.sh builds what it starts, boots the guest and counts the answers. With --compare it asks AWS's vsock-proxy and
// the product's the same questions instead; scripts/e2e-vsock-compare.sh is for that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// checkLimit is how long one check may take: a guest without KVM is some twenty times slower than its host.
const checkLimit = 90 * time.Second

// leaveLimit is how long a check that is late may take to stop what it started.
const leaveLimit = 40 * time.Second

// check is one line of the result.
type check struct {
	name string
	run  func(context.Context) error
}

// run is the whole command; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("vsock", flag.ContinueOnError)
	flags.SetOutput(stderr)
	binaries := flags.String("binaries", "/e2e", "`directory` of the binaries under test")
	list := flags.Bool("list", false, "print the names of the checks, and do nothing")
	rival := flags.String("compare", "", "`path` of AWS's vsock-proxy: ask it and the product's the same questions, and check nothing else")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	g := guest{binaries: *binaries, out: stdout}
	if *rival != "" {
		if failures := g.compare(*rival); failures > 0 {
			_, _ = fmt.Fprintf(stderr, "vsock: %d answers are missing, or not what the product should do\n", failures)
			return 1
		}
		return 0
	}
	checks := all(g)
	if *list {
		for _, c := range checks {
			_, _ = fmt.Fprintln(stdout, c.name)
		}
		return 0
	}
	if failures := report(checks, stdout); failures > 0 {
		_, _ = fmt.Fprintf(stderr, "vsock: %d of %d checks failed\n", failures, len(checks))
		return 1
	}
	return 0
}

func all(g guest) []check {
	var checks []check
	for _, part := range [][]check{kernelChecks(), g.parentChecks(), g.splitChecks()} {
		checks = append(checks, part...)
	}
	return checks
}

// report runs the checks one after another and returns how many failed. https://testanything.org/tap-version-13-specification.html
func report(checks []check, out io.Writer) (failures int) {
	_, _ = fmt.Fprintf(out, "TAP version 13\n1..%d\n", len(checks))
	for i, c := range checks {
		began := time.Now()
		err := within(checkLimit, c.run)
		took := time.Since(began).Round(time.Millisecond)
		if err == nil {
			_, _ = fmt.Fprintf(out, "ok %d - %s\n# %v\n", i+1, c.name, took)
			continue
		}
		failures++
		_, _ = fmt.Fprintf(out, "not ok %d - %s\n", i+1, c.name)
		comment(out, fmt.Sprintf("%v: %v", took, err))
	}
	return failures
}

// within gives f its time. What hangs beyond it is left behind; the guest ends soon.
func within(limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return errors.Join(context.Cause(ctx), err)
	case <-time.After(leaveLimit):
		return fmt.Errorf("%w, and it hangs", context.Cause(ctx))
	}
}

// comment prints text as lines that are no results.
func comment(out io.Writer, text string) {
	for line := range strings.Lines(text) {
		_, _ = fmt.Fprintf(out, "#   %s\n", strings.TrimRight(line, "\n"))
	}
}
