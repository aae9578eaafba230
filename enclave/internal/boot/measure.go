package boot

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// configurationPCR is the register that holds the configuration, the first that an enclave may extend.
const configurationPCR = 16

// ErrMeasured is returned when the register of the configuration has been touched: something ran before us, and an
// attestation document would not say what this process was told.
var ErrMeasured = errors.New("PCR16 is not as a fresh enclave has it")

// registers are the measurement registers of the security module. ExtendPCR sets register i to SHA-384(old value || data); LockPCR
// makes it read-only for the life of the enclave, and visible in documents.
type registers interface {
	DescribePCR(ctx context.Context, i uint16) (value [sha512.Size384]byte, locked bool, err error)
	ExtendPCR(ctx context.Context, i uint16, data []byte) ([sha512.Size384]byte, error)
	LockPCR(ctx context.Context, i uint16) error
}

// MeasureConfiguration puts the digest of the configuration into PCR16 and locks it. Any error is fatal: a register that is not zero and
// unlocked before, or not SHA-384(0^48 || digest) and locked afterwards, makes every later document worthless.
func MeasureConfiguration(ctx context.Context, device registers, digest [wire.DigestSize]byte) error {
	var zero [sha512.Size384]byte
	value, locked, err := device.DescribePCR(ctx, configurationPCR)
	if err != nil {
		return fmt.Errorf("read PCR16: %w", err)
	}
	if value != zero || locked {
		return fmt.Errorf("%w: value %x…, locked %t", ErrMeasured, value[:8], locked)
	}
	want := sha512.Sum384(append(zero[:], digest[:]...))
	if value, err = device.ExtendPCR(ctx, configurationPCR, digest[:]); err != nil {
		return fmt.Errorf("extend PCR16: %w", err)
	}
	if value != want {
		return fmt.Errorf("PCR16 was extended to %x… instead of %x…", value[:8], want[:8])
	}
	if err = device.LockPCR(ctx, configurationPCR); err != nil {
		return fmt.Errorf("lock PCR16: %w", err)
	}
	if value, locked, err = device.DescribePCR(ctx, configurationPCR); err != nil {
		return fmt.Errorf("read PCR16 back: %w", err)
	}
	if value != want || !locked {
		return fmt.Errorf("PCR16 reads back as %x…, locked %t, instead of %x…, locked", value[:8], locked, want[:8])
	}
	return nil
}
