//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package atls

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// readPrivate reads a file that only this user can have written and read, and returns nil if there is none. The checks are made on the
// open file, so that it cannot be exchanged between check and use.
func readPrivate(path string, limit int64) ([]byte, error) {
	// O_NONBLOCK: a pipe in its place would wait for a writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // whoever runs the program names the file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, syscall.ELOOP):
		return nil, errors.New("is a symbolic link, want a file")
	case err != nil:
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	if err := checkPrivate(file); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	if err != nil {
		return nil, err
	}
	if text == nil {
		text = []byte{}
	}
	return text, nil
}

func checkPrivate(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("is no regular file but %v", info.Mode().Type())
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("its owner cannot be told")
	}
	if int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("belongs to user %d, want %d, who runs this", owner.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		return fmt.Errorf("has mode %04o, want 0600: others could have changed what is trusted", mode)
	}
	return nil
}

// lock waits until no other process, and nobody else in this one, holds the lock of the file, which it makes if it is not there.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(file); err != nil {
		_ = file.Close() // refused already
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = file.Close() // refused already
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = file.Close() }, nil // which releases the lock
}

// syncDir makes a rename in the directory last.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
