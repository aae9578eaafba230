package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// guest is where the binaries are, and where a transcript goes.
type guest struct {
	binaries string
	out      io.Writer
}

// shipped is a binary as it is built for operators.
func (g guest) shipped(name string) string { return filepath.Join(g.binaries, "shipped", name) }

// over is the directory of the binaries whose platform simulated is over AF_VSOCK.
func (g guest) over() string { return filepath.Join(g.binaries, "over-vsock") }

const proxy = "containment-chamber-enclave-proxy"

// parent starts the parent as it is shipped, waits until it has said words, and gives it to f; it must end well when asked to.
func (g guest) parent(ctx context.Context, words string, args []string, f func(*rig.Process) error) error {
	p, err := rig.Start(rig.Command{Name: "parent", Binary: g.shipped(proxy), Args: args})
	if err != nil {
		return err
	}
	err = awaitLine(ctx, p, words)
	if err == nil {
		err = f(p)
	}
	if err = errors.Join(err, p.Terminate()); err != nil {
		return rig.Explain(err, p)
	}
	return nil
}

// awaitLine waits until the process has written a line with all words, which are separated by "…".
func awaitLine(ctx context.Context, p *rig.Process, words string) error {
	for {
		ended := isDone(p) // before its lines are read: nothing comes after
		if hasLine(p.Lines(), strings.Split(words, "…")) {
			return nil
		}
		if ended {
			return fmt.Errorf("it ended without a line that says %q", words)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("no line says %q", words)
		}
	}
}

func isDone(p *rig.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

func hasLine(lines, words []string) bool {
	for _, line := range lines {
		found := true
		for _, w := range words {
			found = found && strings.Contains(line, w)
		}
		if found {
			return true
		}
	}
	return false
}

// fails runs a binary that must end by itself with exit code 1 and a line that says words.
func fails(ctx context.Context, binary string, args []string, words string) error {
	p, err := rig.Start(rig.Command{Name: filepath.Base(binary), Binary: binary, Args: args})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return rig.Explain(errors.Join(errors.New("it goes on"), p.Terminate()), p)
	}
	if err := p.Terminate(); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		return rig.Explain(fmt.Errorf("it ended with %s, want exit code 1", told(err)), p)
	}
	if err := awaitLine(ctx, p, words); err != nil {
		return rig.Explain(err, p)
	}
	return nil
}

// dial connects to a port of this machine, over loopback.
func dial(ctx context.Context, port uint32) (vsock.Conn, error) {
	return vsock.Kernel{}.Dial(ctx, vsock.CIDLocal, port)
}

// answering accepts one connection, hears the question to its end and then gives the answer.
func answering(l net.Listener, question, answer []byte) <-chan error {
	done := make(chan error, 1)
	go func() {
		defer func() { _ = l.Close() }()
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = c.Close() }()
		half, ok := c.(halfCloser)
		if !ok {
			done <- fmt.Errorf("a %T cannot be half-closed", c)
			return
		}
		if err := hear(c, question); err != nil {
			done <- fmt.Errorf("question: %w", err)
			return
		}
		done <- say(half, answer)
	}()
	return done
}
