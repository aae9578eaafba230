package pipe

import (
	"io"
	"runtime"
	"testing"
)

// TestWaitingPipesHoldNoBuffers counts what connections cost that only wait: with a buffer for each direction it would be above 64 KiB.
func TestWaitingPipesHoldNoBuffers(t *testing.T) {
	const pipes, most = 200, 16 << 10
	for _, transport := range []string{"unix", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			before := used()
			for range pipes {
				left, right, _ := join(t, t.Context(), transports[transport])
				echo(t, left, right)
				echo(t, right, left)
			}
			if each := (used() - before) / pipes; each > most {
				t.Errorf("a waiting pipe holds %d bytes, want at most %d", each, most)
			}
		})
	}
}

// used is what heap and stacks hold after two collections, which empty a pool.
func used() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func echo(t *testing.T, from, to Conn) {
	t.Helper()
	if _, err := from.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(to, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}
