// Command chamber-init is the first process of an enclave: it makes ready what programs expect of Linux, tells the host that the enclave
// is up, and runs the one program of the image until that ends.
//
// It does what AWS's stock init does, on the same files, so that either can be in an image. It takes no arguments and reads no
// environment, which whoever starts the enclave could set.
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func main() { os.Exit(run()) }

// run never returns in an enclave, which ends with it. Beginning anew is how an enclave ends: its machine has no other switch.
func run() int {
	if os.Getpid() != 1 {
		say("this is the init of an enclave; it runs as the first process of a machine, and nowhere else")
		return 2
	}
	status, err := start()
	if err != nil {
		say("%v", err)
	} else {
		say("the program ended: %s", status)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		say("reboot: %v", err)
	}
	return 1 // the kernel panics, which ends the enclave too
}

// say writes to the console, which is seen in debug mode alone.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "chamber-init: "+format+"\n", args...)
}

// start does everything in its order. The host kills an enclave that does not report in time: nothing slow comes before the
// heartbeat. The security module does come before it, so that an enclave without it does not look like one that is up.
func start() (status string, err error) {
	if err := mountAll("/", []mount{devices}); err != nil {
		return "", err
	}
	if err := readySecurityModule("/"); err != nil {
		return "", err
	}
	if err := heartbeat(); err != nil {
		return "", fmt.Errorf("heartbeat: %w", err)
	}
	p, err := readProgram("/")
	if err != nil {
		return "", err
	}
	if err := unix.Chroot("/rootfs"); err != nil {
		return "", fmt.Errorf("chroot /rootfs: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return "", err
	}
	if err := mountAll("/", mounts()); err != nil {
		return "", err
	}
	if err := linkDevices("/dev"); err != nil {
		return "", err
	}
	return p.run()
}
