// Package systemd tells the service manager how the process is, as sd_notify(3) describes.
package systemd

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// What a manager can be told besides a [Status].
const (
	Ready     = "READY=1"     // the start, or a reload, is over
	Reloading = "RELOADING=1" // the configuration is being loaded again
	Stopping  = "STOPPING=1"
	Alive     = "WATCHDOG=1"
)

// Status is one line for people, which `systemctl status` shows.
func Status(text string) string { return "STATUS=" + strings.ReplaceAll(text, "\n", "; ") }

// Manager is the service manager that started the process. The zero value is none.
type Manager struct {
	socket string
	// Watchdog is after how long without [Alive] the manager takes the process for hung; 0: never.
	Watchdog time.Duration
}

// Find reads the variables that a manager sets: NOTIFY_SOCKET, and WATCHDOG_USEC with WATCHDOG_PID (sd_watchdog_enabled(3)).
func Find(getenv func(string) string, pid int) Manager {
	m := Manager{socket: getenv("NOTIFY_SOCKET")}
	if other := getenv("WATCHDOG_PID"); m.socket == "" || other != "" && other != strconv.Itoa(pid) {
		return m
	}
	if usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		m.Watchdog = time.Duration(usec) * time.Microsecond
	}
	return m
}

// tellLimit bounds one message to a manager that does not read.
const tellLimit = time.Second

// Tell sends all words in one message.
func (m Manager) Tell(words ...string) error {
	if m.socket == "" {
		return nil
	}
	// A name that begins with @ is one of Linux's abstract name space, for package net too.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetWriteDeadline(time.Now().Add(tellLimit))
	if _, err := c.Write([]byte(strings.Join(words, "\n"))); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
