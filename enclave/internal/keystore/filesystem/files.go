package filesystem

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readFile reads a regular file of at most limit bytes. Symbolic links are followed: Kubernetes mounts secrets so.
func readFile(path string, limit int) ([]byte, error) {
	// Asked before opening, because opening a named pipe waits for its other end.
	info, err := os.Stat(path)
	if err != nil {
		return nil, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = f.Close() }() // only read
	// One buffer of the full size: one that grew would leave copies of a secret behind.
	b := make([]byte, min(info.Size(), int64(limit))+1)
	n, err := io.ReadFull(f, b)
	switch {
	case err == nil:
		clear(b)
		return nil, fmt.Errorf("larger than %d bytes, or still growing", limit)
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		clear(b)
		return nil, cause(err)
	}
	return b[:n], nil
}

// cause is a file error without the path, which the caller names.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
