package dynamodbtest

import (
	"os/exec"
	"syscall"
)

// endsWithUs has a process killed when this one ends, in whatever way.
func endsWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
