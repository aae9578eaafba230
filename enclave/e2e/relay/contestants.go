package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// contestant is a program that relays TCP connections to a unix socket.
type contestant struct {
	name    string
	address string // where it listens; "" for an address of the moment
	command func(address string) []string
}

// contestants begin with the product's own. socat is left out where it is not installed.
func contestants(proxy, self, socket string) []contestant {
	all := []contestant{
		{"forwarder", "", func(address string) []string {
			return []string{proxy, "ingress", "--listen", address, "--enclave", "unix://" + socket, "--max-connections", "4096", "--drain-timeout", "0s", "--log-level", "error"}
		}},
		{"bare relay", "", func(address string) []string { return []string{self, bareRole, address, socket} }},
	}
	if path, err := exec.LookPath("socat"); err == nil {
		all = append(all, contestant{"socat", "", func(address string) []string {
			_, port, _ := net.SplitHostPort(address)
			return []string{path, "-b", "32768", "TCP-LISTEN:" + port + ",bind=127.0.0.1,reuseaddr,fork,backlog=4096", "UNIX-CONNECT:" + socket}
		}})
	}
	return all
}

// relay is a contestant that runs.
type relay struct {
	address string
	cmd     *exec.Cmd
	before  time.Duration // CPU time until it listened
}

// run starts a contestant and waits until it listens.
func (c contestant) run(ctx context.Context) (*relay, error) {
	r := &relay{address: c.address}
	if r.address == "" {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		r.address = l.Addr().String()
		_ = l.Close()
	}
	words := c.command(r.address)
	r.cmd = exec.CommandContext(ctx, words[0], words[1:]...)
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := dial(ctx, r.address)
		if err == nil {
			err = errors.Join(conn.ask(make([]byte, 1)), conn.Close())
			r.before = r.used()
			return r, err
		}
		if time.Now().After(deadline) {
			_, _ = r.stop()
			return nil, fmt.Errorf("%s does not listen: %w", c.name, err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// used is the CPU time that the relay's threads have taken so far. The kernel tells it in nanoseconds there alone
// (https://docs.kernel.org/scheduler/sched-stats.html); where it does not, the start counts as work.
func (r *relay) used() (all time.Duration) {
	threads, _ := filepath.Glob("/proc/" + strconv.Itoa(r.cmd.Process.Pid) + "/task/*/schedstat")
	for _, thread := range threads {
		text, _ := os.ReadFile(thread)
		first, _, _ := strings.Cut(string(text), " ")
		n, _ := strconv.ParseInt(first, 10, 64)
		all += time.Duration(n)
	}
	return all
}

// stop ends the relay and returns the CPU time that it took since it listened, with that of the processes it made.
func (r *relay) stop() (time.Duration, error) {
	if err := r.alone(); err != nil {
		_ = r.cmd.Process.Kill()
		return 0, errors.Join(err, r.cmd.Wait())
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	err := r.cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited { // socat ends by the signal
		return 0, err
	}
	return r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime() - r.before, nil
}

// alone waits until the processes that the relay made, one for each connection, have ended: their CPU time is the relay's then.
func (r *relay) alone() error {
	pid := strconv.Itoa(r.cmd.Process.Pid)
	for deadline := time.Now().Add(20 * time.Second); ; {
		children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
		if err != nil || len(children) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %s do not end", children)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// bareBuffer is the buffer of each direction of the bare relay.
const bareBuffer = 32 << 10

// runBare is a relay without anything that keeps it alive: two goroutines for each connection, which copy.
func runBare(ctx context.Context, address, socket string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return serveBare(ctx, l, socket)
}

func serveBare(ctx context.Context, l net.Listener, socket string) error {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		near, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			far, err := new(net.Dialer).DialContext(ctx, "unix", socket)
			if err != nil {
				_ = near.Close()
				return
			}
			go copyOver(far, near)
			copyOver(near, far)
		}()
	}
}

// copyOver copies without splice(2), which AF_VSOCK has not.
func copyOver(dst, src net.Conn) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, bareBuffer)) //nolint:forbidigo // the bare relay is what pipe is measured against
	_ = dst.(interface{ CloseWrite() error }).CloseWrite()
}
