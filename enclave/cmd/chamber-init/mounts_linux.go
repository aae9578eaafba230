package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mount is a file system that the kernel makes.
type mount struct {
	kind, target string
	flags        uintptr
	options      string
}

const noFiles = unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOEXEC // what is there is neither a device nor a program

// devices are made by the kernel as drivers find them; /dev/nsm is one.
var devices = mount{kind: "devtmpfs", target: "dev", flags: unix.MS_NOSUID | unix.MS_NOEXEC} //nolint:gochecknoglobals // a constant

// mounts are what the program sees, in their order.
func mounts() []mount {
	return []mount{
		devices,
		{kind: "devpts", target: "dev/pts", flags: unix.MS_NOSUID | unix.MS_NOEXEC},
		{kind: "tmpfs", target: "dev/shm", flags: noFiles},
		{kind: "proc", target: "proc", flags: noFiles},
		{kind: "sysfs", target: "sys", flags: noFiles},
		{kind: "tmpfs", target: "run", flags: noFiles, options: "mode=0755"},
		{kind: "tmpfs", target: "tmp", flags: noFiles},
	}
}

// mountAll mounts below a root, and makes the directories that are missing.
func mountAll(root string, all []mount) error {
	for _, m := range all {
		target := filepath.Join(root, m.target)
		if err := os.MkdirAll(target, 0o755); err != nil { //nolint:gosec // programs of any user look into it
			return err
		}
		err := unix.Mount(m.kind, target, m.kind, m.flags, m.options)
		if err != nil && !errors.Is(err, unix.EBUSY) { // a kernel may have mounted its devices already
			return fmt.Errorf("mount %s on %s: %w", m.kind, target, err)
		}
	}
	return nil
}

// linkDevices makes the names by which programs know the files that they were started with.
func linkDevices(dev string) error {
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
