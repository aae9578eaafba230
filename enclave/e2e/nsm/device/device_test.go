package device

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPacket(t *testing.T) {
	want := packet{
		from: 3, to: 16, fromPort: 7001, toPort: 1 << 30, kind: typeStream, op: opData, flags: 2, room: 1 << 18, consumed: 5, data: []byte("hello"),
	}
	got, err := parsePacket(want.encode())
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(packet{})); diff != "" || err != nil {
		t.Errorf("packet, -want +got:\n%s%v", diff, err)
	}
	for name, raw := range map[string][]byte{
		"short":             want.encode()[:headerSize-1],
		"less than it says": want.encode()[:headerSize+4],
		"more than it says": append(want.encode(), 0),
	} {
		if _, err := parsePacket(raw); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// guestMemory is a page with a ring of four descriptors: table at 0, avail at 64, used at 128; buffers from 256 on.
func guestMemory(t *testing.T) (*ring, []byte, *os.File) {
	t.Helper()
	page := make([]byte, 4096)
	read, call, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close(); _ = call.Close() })
	r := &ring{memory: memory{{physical: 0x1000, content: page}}, size: 4, desc: page[:64], avail: page[64:76], used: page[128:164]}
	r.call.Store(call)
	return r, page, read
}

// describe writes a descriptor.
func describe(page []byte, number int, address uint64, size uint32, flags, next uint16) {
	d := page[number*descSize:]
	binary.LittleEndian.PutUint64(d, address)
	binary.LittleEndian.PutUint32(d[8:], size)
	binary.LittleEndian.PutUint16(d[12:], flags)
	binary.LittleEndian.PutUint16(d[14:], next)
}

// offer makes a chain available.
func offer(page []byte, head uint16) {
	index := binary.LittleEndian.Uint16(page[66:])
	binary.LittleEndian.PutUint16(page[68+2*(index%4):], head)
	binary.LittleEndian.PutUint16(page[66:], index+1)
}

func TestRing(t *testing.T) {
	r, page, interrupts := guestMemory(t)
	if _, _, _, ok, err := r.take(); ok || err != nil {
		t.Fatalf("a chain in an empty ring, %v", err)
	}
	copy(page[256:], "question")
	describe(page, 2, 0x1000+256, 4, flagNext, 0)
	describe(page, 0, 0x1000+260, 4, flagNext, 3)
	describe(page, 3, 0x1000+512, 6, flagWrite, 0)
	for turn := range uint16(6) { // the indexes go around
		offer(page, 2)
		head, written, wanted, ok, err := r.take()
		if head != 2 || string(written) != "question" || len(wanted) != 1 || len(wanted[0]) != 6 || !ok || err != nil {
			t.Fatalf("took head %d, %q, %d buffers, %t, %v", head, written, len(wanted), ok, err)
		}
		if err := fill(wanted, []byte("answer")); err != nil || !bytes.Equal(page[512:518], []byte("answer")) {
			t.Fatalf("filled %q, %v", page[512:518], err)
		}
		if err := r.give(head, 6); err != nil {
			t.Fatal(err)
		}
		entry := page[132+8*(turn%4):]
		if index := binary.LittleEndian.Uint16(page[130:]); index != turn+1 || binary.LittleEndian.Uint32(entry) != 2 || binary.LittleEndian.Uint32(entry[4:]) != 6 {
			t.Errorf("turn %d: used index %d, entry % x", turn, index, entry[:8])
		}
		if _, err := interrupts.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
	}
	if err := fill([][]byte{make([]byte, 3)}, []byte("answer")); err == nil {
		t.Error("a buffer of 3 bytes took 6")
	}
}

func TestRingOfHostileGuest(t *testing.T) {
	for _, tt := range []struct {
		name    string
		corrupt func(page []byte)
		want    string
	}{
		{"outside of memory", func(page []byte) { describe(page, 0, 0x1000+4090, 8, 0, 0) }, errOutside.Error()},
		{"below memory", func(page []byte) { describe(page, 0, 0, 8, 0, 0) }, errOutside.Error()},
		{"around the end of addresses", func(page []byte) { describe(page, 0, 1<<64-4, 8, 0, 0) }, errOutside.Error()},
		{"a head that is not there", func(page []byte) { binary.LittleEndian.PutUint16(page[68:], 4) }, "descriptor 4 of a ring of 4"},
		{"a circle", func(page []byte) { describe(page, 0, 0x1100, 1, flagNext, 0) }, "without end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, page, _ := guestMemory(t)
			describe(page, 0, 0x1100, 1, 0, 0)
			offer(page, 0)
			tt.corrupt(page)
			_, _, _, ok, err := r.take()
			if ok || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("took a chain: %t, %v, want %q", ok, err, tt.want)
			}
		})
	}
	r, page, _ := guestMemory(t)
	describe(page, 0, 0x1000+4096-8, 8, 0, 0)
	offer(page, 0)
	if _, written, _, ok, err := r.take(); len(written) != 8 || !ok || errors.Is(err, errOutside) {
		t.Errorf("the last bytes of memory: %d, %t, %v", len(written), ok, err)
	}
}
