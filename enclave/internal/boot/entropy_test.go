package boot

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type generator struct {
	size int
	err  error
}

func (g generator) Random(_ context.Context, n int) ([]byte, error) {
	return bytes.Repeat([]byte{0xA5}, min(n, g.size)), g.err
}

// pool is a kernel's pool made of files.
func pool(t *testing.T, source string, credit func(*os.File, int) error) kernelPool {
	t.Helper()
	dir := t.TempDir()
	k := kernelPool{source: filepath.Join(dir, "rng_current"), pool: filepath.Join(dir, "urandom"), credit: credit}
	for file, content := range map[string]string{k.source: source, k.pool: ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func TestMixEntropy(t *testing.T) {
	credited := 0
	k := pool(t, "nsm-hwrng\n", func(f *os.File, bits int) error {
		written, err := os.ReadFile(f.Name())
		if err != nil || !bytes.Equal(written, bytes.Repeat([]byte{0xA5}, 2048)) {
			t.Errorf("credited %d bits after %d bytes, %v", bits, len(written), err)
		}
		credited = bits
		return nil
	})
	if err := k.mix(t.Context(), generator{size: 4096}); err != nil {
		t.Fatal(err)
	}
	if credited != 16384 {
		t.Errorf("credited %d bits", credited)
	}
}

func TestMixEntropyFailsClosed(t *testing.T) {
	denied := func(*os.File, int) error { return os.ErrPermission }
	never := func(*os.File, int) error { t.Error("credited"); return nil }
	good := generator{size: 2048}
	for _, tc := range []struct {
		name, want string
		pool       kernelPool
		device     generator
	}{
		{"other source", `rng_current names "virtio_rng.0", want nsm-hwrng`, pool(t, "virtio_rng.0\n", never), good},
		{"no source", `rng_current names "none", want nsm-hwrng`, pool(t, "none\n", never), good},
		{"no device", "hardware random generator: open /does/not/exist: no such file", kernelPool{source: "/does/not/exist", credit: never}, good},
		{"module gone", "random bytes of the security module: gone", pool(t, "nsm-hwrng", never), generator{err: errors.New("gone")}},
		{"too few bytes", "random bytes of the security module: got 256, want 2048", pool(t, "nsm-hwrng", never), generator{size: 256}},
		{"not credited", "kernel's random pool ", pool(t, "nsm-hwrng", denied), good},
		{"no pool", "kernel's random pool: open /does/not/exist: no such file", func() kernelPool {
			k := pool(t, "nsm-hwrng", never)
			k.pool = "/does/not/exist"
			return k
		}(), good},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.pool.mix(t.Context(), tc.device)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}
