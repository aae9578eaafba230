package atls_test

import (
	"runtime"
	"syscall"
	"time"
)

// thread measures the processor time of the goroutine that runs f, alone on its thread.
func thread(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := usage()
	f()
	return usage() - before
}

func usage() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
		return 0 // it cannot fail for a thread's own usage
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
