//go:build !linux

package rig

import "syscall"

// ownGroup keeps Ctrl-C of the terminal from the children, which are drained in order.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
