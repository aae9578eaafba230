package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// securityModule is the driver of the Nitro Security Module, where AWS's builder puts it. Kernels may have it built in.
const securityModule = "nsm.ko"

const (
	// securityDevice is what the driver makes when it finds the module.
	securityDevice = "dev/nsm"
	// driverTime is how long a driver may take to find its device. One that is loaded after its bus has the device when the load
	// returns; a kernel may also look later, by itself.
	driverTime = 5 * time.Second
)

// readySecurityModule loads all modules and makes sure that the security module can be asked.
func readySecurityModule(root string) error {
	if err := loadModules(root); err != nil {
		return err
	}
	return awaitDevice(filepath.Join(root, securityDevice))
}

// awaitDevice waits for the kernel to make a device.
func awaitDevice(path string) error {
	late := time.NewTimer(driverTime)
	defer late.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.Mode()&fs.ModeCharDevice == 0:
			return fmt.Errorf("%s is a %v, want a character device", path, info.Mode())
		case err == nil:
			return nil
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		select {
		case <-late.C:
			return fmt.Errorf("no security module: %w", err)
		case <-again.C:
		}
	}
}

// listModules gives what the file modules lists; without that file, nsm.ko if it is there.
func listModules(root string) ([]string, error) {
	list, err := readLines(filepath.Join(root, "modules"))
	if !errors.Is(err, fs.ErrNotExist) {
		return list, err
	}
	_, err = os.Lstat(filepath.Join(root, securityModule))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil // the kernel has the driver built in, or else no device
	case err != nil:
		return nil, err
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
