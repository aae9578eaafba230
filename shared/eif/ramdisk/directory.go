package ramdisk

import (
	"fmt"
	"io/fs"
	"os"
	"path"
)

// FromDirectory reads the files below a directory into a tree. Symlinks are taken as they are, and not followed. Modes become 0755 for
// directories and for files that their owner may execute, 0644 for others: what a file has besides depends on the umask of whoever
// made it.
func FromDirectory(dir string) (*Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read directory: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing was written
	t := NewTree()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		e, err := readEntry(root, name, d, t.Left())
		if err != nil {
			return err
		}
		return t.Put(name, e)
	})
	if err != nil {
		return nil, fmt.Errorf("read directory %s: %w", dir, err)
	}
	return t, nil
}

func readEntry(root *os.Root, name string, d fs.DirEntry, most int64) (Entry, error) {
	switch kind := d.Type(); {
	case kind.IsDir():
		return Entry{Mode: Directory | 0o755}, nil
	case kind == fs.ModeSymlink:
		target, err := root.Readlink(name)
		return Entry{Mode: Symlink | 0o777, Target: target}, err
	case !kind.IsRegular():
		return Entry{}, fmt.Errorf("%q: %v, want a directory, a regular file or a symlink", path.Clean(name), d.Type())
	}
	info, err := d.Info()
	if err != nil {
		return Entry{}, err
	}
	if info.Size() > most {
		return Entry{}, fmt.Errorf("%q: %d bytes, %d are left of %d for all files", name, info.Size(), most, int64(MaxBytes))
	}
	body, err := root.ReadFile(name)
	if err != nil {
		return Entry{}, err
	}
	mode := Regular | 0o644
	if info.Mode()&0o100 != 0 {
		mode = Regular | 0o755
	}
	return Entry{Mode: mode, Body: body}, nil
}
