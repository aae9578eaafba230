//go:build !linux

package atls_test

import "time"

// thread measures the time that f takes; other systems do not tell the processor time of one thread.
func thread(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
