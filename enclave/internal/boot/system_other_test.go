//go:build !linux

package boot

// hardenChild is of Linux.
func hardenChild() bool { return false }
