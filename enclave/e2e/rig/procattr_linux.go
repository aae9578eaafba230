package rig

import "syscall"

// ownGroup keeps Ctrl-C of the terminal from the children, which are drained in order, and ends them if this
// process is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
