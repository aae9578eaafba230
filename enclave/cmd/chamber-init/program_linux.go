package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// program is what the enclave is for.
type program struct{ cmd, env []string }

// defaultPath is where a command without a slash is looked for if the environment has no PATH.
const defaultPath = "/sbin:/usr/sbin:/bin:/usr/bin"

// readProgram reads the files cmd and env: one argument, or one NAME=value, in each line.
func readProgram(root string) (program, error) {
	cmd, err := readLines(filepath.Join(root, "cmd"))
	if err != nil {
		return program{}, err
	}
	env, err := readLines(filepath.Join(root, "env"))
	if err != nil {
		return program{}, err
	}
	if len(cmd) == 0 || cmd[0] == "" {
		return program{}, errors.New("the file cmd names no program")
	}
	return program{cmd, env}, nil
}

// readLines gives the lines of a file, empty ones too.
func readLines(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 {
		return nil, nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), nil
}

// find gives the path of a command.
func (p program) find() (string, error) {
	name := p.cmd[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := defaultPath
	for _, v := range p.env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
			break
		}
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("no program %q in %s", name, path)
}

// run starts the program in a session of its own, and returns when it ended. Until then it waits for every process that lost its parent,
// which is the duty of a first process.
func (p program) run() (status string, err error) {
	path, err := p.find()
	if err != nil {
		return "", err
	}
	process, err := os.StartProcess(path, p.cmd, &os.ProcAttr{
		Dir: "/", Env: p.env, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return "", fmt.Errorf("start the program: %w", err)
	}
	return reap(process.Pid)
}

// reap waits for processes until this one ended.
func reap(pid int) (status string, err error) {
	for {
		var s unix.WaitStatus
		switch ended, err := unix.Wait4(-1, &s, 0, nil); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return "", fmt.Errorf("wait for the program: %w", err)
		case ended != pid:
		case s.Signaled():
			return fmt.Sprintf("signal %v", s.Signal()), nil
		default:
			return fmt.Sprintf("exit code %d", s.ExitStatus()), nil
		}
	}
}
