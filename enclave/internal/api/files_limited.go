//go:build linux || darwin

package api

import "golang.org/x/sys/unix"

// mostConnections is asked for each connection, because a process raises its limit of files after it has begun to listen.
func mostConnections() int {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return maxConnections
	}
	return connectionsFor(files.Cur)
}
