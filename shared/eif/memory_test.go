package eif_test

import (
	"bytes"
	"io"
	"math"
	"runtime"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// zeros is a body that needs no memory.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestMemoryIsBounded writes and parses a file of 96 MiB, and refuses one that claims as much and more, in less than 2 MiB.
func TestMemoryIsBounded(t *testing.T) {
	const bound = 2 << 20
	image := eif.Image{
		Kernel: io.NewSectionReader(zeros{}, 0, 32<<20), Cmdline: "cmdline", Metadata: []byte("{}"),
		Ramdisks: []*io.SectionReader{io.NewSectionReader(zeros{}, 0, 32<<20), io.NewSectionReader(zeros{}, 0, 32<<20)},
	}
	var head headOf
	if used := allocated(func() {
		if err := eif.Write(&head, image); err != nil {
			t.Error(err)
		}
	}); used > bound {
		t.Errorf("writing took %d bytes, want at most %d", used, bound)
	}
	if used := allocated(func() {
		if f, err := eif.Parse(&head, head.size); err != nil || f.Kernel.Size() != 32<<20 {
			t.Error(err)
		}
	}); used > bound {
		t.Errorf("parsing took %d bytes, want at most %d", used, bound)
	}
	for _, size := range []uint64{96 << 20, math.MaxInt64, math.MaxUint64} {
		liar := with(func(raw []byte) []byte { return put64(0x11c+16, size)(raw) })
		if used := allocated(func() {
			if f, err := parse(liar); err == nil || f != nil {
				t.Error("accepted")
			}
		}); used > bound {
			t.Errorf("refusing took %d bytes, want at most %d", used, bound)
		}
	}
}

// headOf keeps what is not zero of a large file: its parts of less than a page.
type headOf struct {
	size  int64
	parts map[int64][]byte
}

func (h *headOf) Write(p []byte) (int, error) {
	if h.parts == nil {
		h.parts = map[int64][]byte{}
	}
	if len(p) < 4096 {
		h.parts[h.size] = bytes.Clone(p)
	}
	h.size += int64(len(p))
	return len(p), nil
}

func (h *headOf) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	copy(p, h.parts[at])
	return len(p), nil
}
