package boot

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openFiles is how many descriptors the process may have. The init of an enclave image leaves the kernel's low default, and each
// client connection is one.
const openFiles = 65536

// Harden raises the limit of open files to 65536, forbids core dumps and tracing, and locks memory, so that keys reach no disk.
// Warnings are of what a process without privileges may lack; the error is of what every process can do.
func Harden() (warnings []error, err error) {
	for _, step := range []func() error{raiseFileLimit, lockMemory} {
		if err := step(); err != nil {
			warnings = append(warnings, err)
		}
	}
	return warnings, forbidDumps()
}

func raiseFileLimit() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	want := unix.Rlimit{Cur: max(openFiles, limit.Cur), Max: max(openFiles, limit.Max)}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &want) == nil {
		return nil
	}
	hard := limit.Max // all that a process without privileges may have
	limit.Cur = hard
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	return fmt.Errorf("limit of open files is %d, and may not be raised to %d", hard, openFiles)
}

// forbidDumps keeps memory out of core files, and other processes of the same user out of memory (prctl(2), PR_SET_DUMPABLE).
func forbidDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}

// lockMemory keeps memory out of swap. It does so only without a limit: under one the Go runtime would run into it later, and end
// the process. MCL_ONFAULT (Linux 4.4) leaves what the runtime has reserved and not touched without pages.
func lockMemory() error {
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unlimited); err != nil {
		return fmt.Errorf("memory is not locked, so keys could be swapped out: lift its limit (LimitMEMLOCK=infinity, ulimit -l unlimited): %w", err)
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("memory is not locked, so keys could be swapped out: %w", err)
	}
	return nil
}

// LoopbackUp brings the device lo up, which an enclave begins without; the kernel then gives it 127.0.0.1/8. Linux only.
func LoopbackUp() error { return interfaceUp("lo") }

// interfaceUp does nothing to a device that is up, so that it needs no privilege then.
func interfaceUp(name string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	defer func() { _ = unix.Close(s) }()
	req, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("bring %q up: not the name of a device: %w", name, err)
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, req); err != nil {
		return fmt.Errorf("read the flags of %s: %w", name, err)
	}
	if req.Uint16()&unix.IFF_UP != 0 {
		return nil
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}

// creditEntropy counts bits (random(4), RNDADDTOENTCNT) and makes the generator draw on them at once instead of within minutes
// (RNDRESEEDCRNG, which kernels before 4.17 refuse with EINVAL).
func creditEntropy(pool *os.File, bits int) error {
	if err := unix.IoctlSetPointerInt(int(pool.Fd()), unix.RNDADDTOENTCNT, bits); err != nil {
		return fmt.Errorf("credit %d bits: %w", bits, err)
	}
	if err := unix.IoctlSetInt(int(pool.Fd()), unix.RNDRESEEDCRNG, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("reseed: %w", err)
	}
	return nil
}
