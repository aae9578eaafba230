// Package rig runs the product's processes on one machine, and asks them what clients and operators ask, for the programs beside it.
package rig

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// drainLimit is how long a process may take to drain before it is killed, which is a failure.
const drainLimit = 30 * time.Second

// keptLines is how many of a process's last lines are kept.
const keptLines = 2000

// Command says what to start.
type Command struct {
	Name   string // what people are told of it
	Binary string // its path
	Args   []string
	Env    []string // NAME=value each, beside this process's environment
	// Log is the file that takes what the process writes. Without it the last lines are kept in memory.
	Log string
}

// Process is a running process of the product, with the last lines it wrote.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and its output is read
	err  error         // how it ended; read after done

	mu    sync.Mutex // held while lines changes or is read
	lines []string
}

// Start starts a process without the environment variables that would configure it from outside: a run is the same
// everywhere. The process ends with this one, at the latest.
func Start(c Command) (*Process, error) {
	p := &Process{name: c.Name, log: c.Log, cmd: exec.Command(c.Binary, c.Args...), done: make(chan struct{})}
	p.cmd.SysProcAttr = ownGroup()
	p.cmd.Env = append(withoutProduct(os.Environ()), c.Env...)
	read, err := p.start()
	if err != nil {
		return nil, fmt.Errorf("start the %s: %w", c.Name, err)
	}
	go func() {
		read()
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// start starts the process; read then reads its output to the end.
func (p *Process) start() (read func(), err error) {
	if p.log != "" {
		file, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		p.cmd.Stdout, p.cmd.Stderr = file, file
		return func() {}, errors.Join(p.cmd.Start(), file.Close())
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = in, in
	err = p.cmd.Start()
	_ = in.Close()
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return func() {
		p.keep(out)
		_ = out.Close()
	}, nil
}

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
func (p *Process) keep(r io.Reader) {
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

// Lines are the last lines that the process wrote.
func (p *Process) Lines() []string {
	if p.log != "" {
		text, err := os.ReadFile(p.log)
		if err != nil {
			return []string{err.Error()}
		}
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		return lines[max(0, len(lines)-keptLines):]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the process as a crash does.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// Terminate asks the process to drain and waits until it has.
func (p *Process) Terminate() error {
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

func (p *Process) how() error {
	if p.err != nil {
		return fmt.Errorf("the %s ended with %w", p.name, p.err)
	}
	return nil
}

// Explain adds what the processes wrote last to an error.
func Explain(err error, processes ...*Process) error {
	var b strings.Builder
	for _, p := range processes {
		lines := p.Lines()
		lines = lines[max(0, len(lines)-15):]
		fmt.Fprintf(&b, "\nlast lines of the %s:\n", p.name)
		for _, l := range lines {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	return fmt.Errorf("%w\n%s", err, b.String())
}
