package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// drainLimit is how long a process may take to drain before it is killed, which is a failure.
const drainLimit = 30 * time.Second

// split is the two running processes.
type split struct {
	parent, signer *process
	ended          chan string // the name of a process that ended; one entry each
}

// process is one of the two, with the last lines it wrote.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and its output is read
	err  error         // how it ended; read after done

	mu    sync.Mutex // held while lines changes or is read
	lines []string
}

const keptLines = 2000

func startSplit(w *world, binaries string) (*split, error) {
	s := &split{ended: make(chan string, 2)}
	var err error
	s.parent, err = s.start("parent", filepath.Join(binaries, "containment-chamber-enclave-proxy"), "run", "-c", w.config)
	if err != nil {
		return nil, err
	}
	s.signer, err = s.start("signer", filepath.Join(binaries, "containment-chamber"), "server", "-c", w.config)
	if err != nil {
		return nil, errors.Join(err, s.parent.terminate())
	}
	return s, nil
}

func (s *split) start(name, binary string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.cmd.SysProcAttr = ownGroup()
	p.cmd.Env = withoutProduct(os.Environ())
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	p.cmd.Stdout, p.cmd.Stderr = in, in
	err = p.cmd.Start()
	_ = in.Close()
	if err != nil {
		_ = out.Close()
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	go func() {
		p.keep(out)
		_ = out.Close()
		p.err = p.cmd.Wait()
		close(p.done)
		s.ended <- name
	}()
	return p, nil
}

// withoutProduct drops what would configure the product from outside: the demonstration is the same everywhere.
func withoutProduct(environ []string) []string {
	var kept []string
	for _, e := range environ {
		if !strings.HasPrefix(e, "CONTAINMENT_") && !strings.HasPrefix(e, "PRODUCTION=") && !strings.HasPrefix(e, "ENCLAVE_DEBUG=") {
			kept = append(kept, e)
		}
	}
	return kept
}

// keep reads the output to its end and keeps the last lines.
func (p *process) keep(r io.Reader) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, scanner.Text())
		if len(p.lines) > keptLines {
			p.lines = p.lines[len(p.lines)-keptLines:]
		}
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) //nolint:forbidigo // a line too long for the scanner must not block the process
}

// output is a copy of the last lines.
func (p *process) output() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// terminate asks the process to drain and waits until it has.
func (p *process) terminate() error {
	select {
	case <-p.done:
		return p.how()
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return p.how()
	case <-time.After(drainLimit):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("the %s did not drain within %v and was killed", p.name, drainLimit)
	}
}

func (p *process) how() error {
	if p.err != nil {
		return fmt.Errorf("the %s ended with %w", p.name, p.err)
	}
	return nil
}

// stop drains the signer first, so that the parent still carries its last log lines.
func (s *split) stop(t *transcript) error {
	t.title("Drain both processes")
	err := errors.Join(s.signer.terminate(), s.parent.terminate())
	if err == nil {
		t.note("signer and parent stopped with exit code 0")
	}
	return err
}

// during gives a context that also ends when one of the processes does.
func (s *split) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		select {
		case name := <-s.ended:
			s.ended <- name
			cancel(fmt.Errorf("the %s ended by itself", name))
		case <-stopped:
		}
	}()
	return ctx, func() {
		close(stopped)
		cancel(nil)
	}
}

// explain adds what the processes wrote last.
func (s *split) explain(err error) error {
	var b strings.Builder
	for _, p := range []*process{s.parent, s.signer} {
		lines := p.output()
		lines = lines[max(0, len(lines)-15):]
		fmt.Fprintf(&b, "\nlast lines of the %s:\n", p.name)
		for _, l := range lines {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	return fmt.Errorf("%w\n%s", err, b.String())
}
