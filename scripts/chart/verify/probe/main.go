//go:build linux

// Command probe says which system calls it may make, one a line: what a seccomp profile decides.
package main

import (
	"errors"
	"fmt"
	"syscall"
)

func main() {
	for _, f := range []struct {
		name   string
		family int
	}{{"unix", syscall.AF_UNIX}, {"inet", syscall.AF_INET}, {"inet6", syscall.AF_INET6}, {"vsock", 40}, {"packet", syscall.AF_PACKET}, {"alg", 38}, {"bluetooth", 31}} {
		_, err := syscall.Socket(f.family, syscall.SOCK_STREAM, 0)
		tell("socket "+f.name, err)
	}
	_, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_ROUTE)
	tell("socket netlink", err)
	tell("unshare", syscall.Unshare(0))
	_, _, number := syscall.Syscall(syscall.SYS_ADD_KEY, 0, 0, 0)
	tell("add_key", number)
	_, _, number = syscall.Syscall(syscall.SYS_PERF_EVENT_OPEN, 0, 0, 0)
	tell("perf_event_open", number)
}

// tell prints what was refused as not permitted; every other answer means that the kernel was asked.
func tell(what string, err error) {
	if errors.Is(err, syscall.EPERM) {
		fmt.Println(what, "no")
		return
	}
	fmt.Println(what, "yes")
}
