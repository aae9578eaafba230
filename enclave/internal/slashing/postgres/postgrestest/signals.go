package postgrestest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Pause stops all processes of the server where they are, as a machine that hangs: connections stay open, and nobody answers.
func (s *Server) Pause() error {
	// The postmaster first, so that it starts no others meanwhile.
	parent := s.cmd.Process.Pid
	if err := syscall.Kill(parent, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause the PostgreSQL server: %w", err)
	}
	s.paused = []int{parent}
	pids, err := children(parent)
	s.paused = append(s.paused, pids...)
	return errors.Join(err, signal(pids, syscall.SIGSTOP))
}

// Resume lets the processes go on that Pause stopped, if any.
func (s *Server) Resume() error {
	pids := s.paused
	s.paused = nil
	return signal(pids, syscall.SIGCONT)
}

// Kill ends all processes of the server at once, as a machine that loses its power, and returns when they have ended.
func (s *Server) Kill() error {
	parent := s.cmd.Process.Pid
	_ = syscall.Kill(parent, syscall.SIGSTOP) // so that it does nothing about the ends of the others
	pids, err := children(parent)
	err = errors.Join(err, signal(append(pids, parent), syscall.SIGKILL))
	s.paused = nil
	<-s.done
	return err
}

// signal passes over processes that have ended.
func signal(pids []int, sig syscall.Signal) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal %v to a process of the PostgreSQL server: %w", sig, err)
		}
	}
	return nil
}

// children are the processes that a process started and that have not ended.
func children(parent int) ([]int, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for line := range strings.Lines(string(out)) {
		var pid, ppid int
		if _, err := fmt.Sscan(line, &pid, &ppid); err == nil && ppid == parent {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// removeSharedMemory removes the segment by which PostgreSQL finds out whether a data directory is in use. A server that was killed
// leaves it behind, and machines have few of them.
func (s *Server) removeSharedMemory() error {
	text, err := os.ReadFile(filepath.Join(s.DataDir(), "postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) { // it has ended by itself
		return nil
	}
	if err != nil {
		return err
	}
	// The seventh line is key and number (PostgreSQL, src/include/utils/pidfile.h).
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 || len(strings.Fields(lines[6])) != 2 {
		return nil // killed before it had one
	}
	number := strings.Fields(lines[6])[1]
	if out, err := exec.Command("ipcrm", "-m", number).CombinedOutput(); err != nil { //nolint:gosec // a number that PostgreSQL wrote
		return fmt.Errorf("remove the shared memory of the PostgreSQL server: %w: %s", err, out)
	}
	return nil
}
