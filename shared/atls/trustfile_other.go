//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package atls

import (
	"errors"
	"runtime"
)

// Neither owner and mode of a file nor its lock mean the same on other systems.
var errNoTrustStore = errors.New("not supported on " + runtime.GOOS)

func readPrivate(string, int64) ([]byte, error) { return nil, errNoTrustStore }

func lock(string) (func(), error) { return nil, errNoTrustStore }

func syncDir(string) error { return errNoTrustStore }
