//go:build !linux

package boot

import (
	"errors"
	"os"
)

// Harden raises limits and locks memory, on Linux only; elsewhere it warns.
func Harden() (warnings []error, err error) {
	return []error{errors.New("memory is neither locked nor kept out of core dumps: only on Linux")}, nil
}

// LoopbackUp brings the device lo up. Linux only.
func LoopbackUp() error { return errors.ErrUnsupported }

func creditEntropy(*os.File, int) error { return errors.ErrUnsupported }
