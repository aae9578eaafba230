package postgrestest

import "syscall"

// endWithUs has a process asked to end at once when this one ends, in whatever way.
func endWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
