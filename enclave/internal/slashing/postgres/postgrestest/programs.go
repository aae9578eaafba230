package postgrestest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Program finds a program of PostgreSQL, which Debian keeps out of PATH.
func Program(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return found[len(found)-1], nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is missing; run as root: apt-get install postgresql", name)
	}
	return filepath.EvalSymlinks(path)
}

// Command is a program of PostgreSQL with arguments, run as nobody if we are root.
func Command(name string, args ...string) (*exec.Cmd, error) {
	path, err := Program(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...) //nolint:gosec // a program of PostgreSQL, for tests
	cmd.Dir, cmd.SysProcAttr = "/", new(syscall.SysProcAttr)
	endWithUs(cmd.SysProcAttr)
	if uid, gid, root := nobody(); root {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return cmd, nil
}

// Run runs a program of PostgreSQL to its end. What it wrote is in the error.
func Run(name string, args ...string) error {
	cmd, err := Command(name, args...)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// nobody is whom programs run as if we are root.
func nobody() (uid, gid int, root bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return 65534, 65534, true
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if errors.Join(uidErr, gidErr) != nil {
		return 65534, 65534, true
	}
	return uid, gid, true
}

// own gives a file to the one whom programs run as.
func own(path string) error {
	if uid, gid, root := nobody(); root {
		return os.Chown(path, uid, gid)
	}
	return nil
}

// write makes a file in the server's directory.
func (s *Server) write(name, text string) error {
	path := filepath.Join(s.dir, name)
	return errors.Join(os.WriteFile(path, []byte(text), 0o600), own(path)) //nolint:gosec // in a directory of our own
}
