package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// securityModule is the driver of the Nitro Security Module, where AWS's builder puts it. Kernels may have it built in.
const securityModule = "nsm.ko"

// listModules gives what the file modules lists; without that file, nsm.ko if it is there.
func listModules(root string) ([]string, error) {
	list, err := readLines(filepath.Join(root, "modules"))
	if !errors.Is(err, fs.ErrNotExist) {
		return list, err
	}
	if _, err := os.Stat(filepath.Join(root, securityModule)); err != nil {
		return nil, nil //nolint:nilerr // a kernel that has the driver built in needs no file
	}
	return []string{securityModule}, nil
}

// loadModules loads all modules in their order.
func loadModules(root string) error {
	list, err := listModules(root)
	if err != nil {
		return err
	}
	for _, name := range list {
		if err := loadModule(filepath.Join(root, name)); err != nil {
			return fmt.Errorf("load module %s: %w", name, err)
		}
	}
	return nil
}

func loadModule(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing was written
	if err := unix.FinitModule(int(file.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return os.Remove(path) // it is in the kernel now, and memory is dear
}
