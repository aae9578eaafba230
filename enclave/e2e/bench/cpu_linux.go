package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the CPU time that a process has used so far, all threads together, those that have ended included. The
// clock of another process counts nanoseconds, where /proc/PID/stat counts ticks of 10 ms (clock_getcpuclockid(3)).
func cpuTime(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED: what the scheduler accounts
	var t unix.Timespec
	if err := unix.ClockGettime(^int32(pid)<<3|schedClock, &t); err != nil {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// residentMemory is VmRSS of a process, in bytes.
func residentMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	return resident * int64(os.Getpagesize()), nil
}

// machineTime is the CPU time that all processes of the machine have used so far, to 10 ms (proc_stat(5)).
func machineTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the machine's CPU time: %w", err)
	}
	var user, nice, system, idle, wait, irq, softirq int64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq); err != nil {
		return 0, fmt.Errorf("read the machine's CPU time: %w", err)
	}
	const tick = time.Second / 100 // USER_HZ, the same on every architecture that Go runs on
	return time.Duration(user+nice+system+irq+softirq) * tick, nil
}

// inMemory tells whether a file's file system is on no disk (tmpfs(5)), so that what is synced there costs nothing.
func inMemory(path string) (bool, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return false, fmt.Errorf("file system of %s: %w", path, err)
	}
	return s.Type == unix.TMPFS_MAGIC, nil
}
