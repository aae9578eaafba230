package boot

import (
	"bytes"
	"context"
	"fmt"
	"os"
)

const (
	// hardwareRNG is what the kernel must draw from: the security module. Before nitro-cli 1.2.0 it could be something else.
	hardwareRNG = "nsm-hwrng"
	// mixedBytes is how much of the module's output is mixed into the kernel's pool besides.
	mixedBytes = 2048
)

// random gives n bytes of the security module's generator.
type random interface {
	Random(ctx context.Context, n int) ([]byte, error)
}

// MixEntropy makes sure that the kernel's random numbers, from which keys and nonces come, come from the security module: the
// kernel's source must be nsm-hwrng, and 2048 bytes of the module are mixed into its pool. In an enclave nothing else is unpredictable
// to the host, so that any error is fatal. Linux only.
func MixEntropy(ctx context.Context, device random) error {
	return kernelPool{
		source: "/sys/class/misc/hw_random/rng_current",
		pool:   "/dev/urandom",
		credit: creditEntropy,
	}.mix(ctx, device)
}

// kernelPool is where the kernel keeps its entropy.
type kernelPool struct {
	source string // file that names the hardware generator in use
	pool   string // file that takes bytes
	// credit counts bits written to the pool as unpredictable, and has the kernel draw on them.
	credit func(pool *os.File, bits int) error
}

func (k kernelPool) mix(ctx context.Context, device random) error {
	current, err := os.ReadFile(k.source)
	if err != nil {
		return fmt.Errorf("hardware random generator: %w", err)
	}
	if got := bytes.TrimSpace(current); string(got) != hardwareRNG {
		return fmt.Errorf("hardware random generator: %s names %q, want %s", k.source, got[:min(len(got), 64)], hardwareRNG)
	}
	b, err := device.Random(ctx, mixedBytes)
	if err != nil {
		return fmt.Errorf("random bytes of the security module: %w", err)
	}
	defer clear(b)
	if len(b) != mixedBytes {
		return fmt.Errorf("random bytes of the security module: got %d, want %d", len(b), mixedBytes)
	}
	return k.add(b)
}

func (k kernelPool) add(b []byte) error {
	pool, err := os.OpenFile(k.pool, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("kernel's random pool: %w", err)
	}
	defer func() { _ = pool.Close() }()
	if _, err := pool.Write(b); err != nil {
		return fmt.Errorf("kernel's random pool: %w", err)
	}
	if err := k.credit(pool, 8*len(b)); err != nil {
		return fmt.Errorf("kernel's random pool %s: %w", k.pool, err)
	}
	return nil
}
