package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// ring is one split virtqueue (VIRTIO 1.2, 2.7). One goroutine uses it, once it is running.
type ring struct {
	memory memory
	size   uint16
	desc   []byte
	avail  []byte
	used   []byte
	next   uint16 // of avail
	done   uint16 // of used
	kick   *os.File
	order  atomic.Uint32           // keeps reads and writes of the shared memory in their order: neither compiler nor processor moves them across it
	call   atomic.Pointer[os.File] // QEMU changes it while the ring runs
}

// Sizes and flags of a descriptor.
const (
	descSize  = 16
	flagNext  = 1
	flagWrite = 2
)

// take returns the next chain that the guest has made available, or false if there is none: its head, what the guest wrote, and the
// buffers that it wants filled.
func (r *ring) take() (head uint16, written []byte, wanted [][]byte, ok bool, err error) {
	if binary.LittleEndian.Uint16(r.avail[2:]) == r.next {
		return 0, nil, nil, false, nil
	}
	r.order.Add(1) // what the guest wrote before it moved the index is read after it
	head = binary.LittleEndian.Uint16(r.avail[4+2*int(r.next%r.size):])
	r.next++
	at := head
	for range r.size {
		if at >= r.size {
			return 0, nil, nil, false, fmt.Errorf("descriptor %d of a ring of %d", at, r.size)
		}
		d := r.desc[int(at)*descSize:]
		flags := binary.LittleEndian.Uint16(d[12:])
		part, err := r.memory.guest(binary.LittleEndian.Uint64(d), int(binary.LittleEndian.Uint32(d[8:])))
		if err != nil {
			return 0, nil, nil, false, err
		}
		if flags&flagWrite != 0 {
			wanted = append(wanted, part)
		} else {
			written = append(written, part...)
		}
		if flags&flagNext == 0 {
			return head, written, wanted, true, nil
		}
		at = binary.LittleEndian.Uint16(d[14:])
	}
	return 0, nil, nil, false, errors.New("a chain of descriptors without end")
}

// give returns a chain, of whose buffers n bytes were filled, and interrupts the guest.
func (r *ring) give(head uint16, n int) error {
	entry := r.used[4+8*int(r.done%r.size):]
	binary.LittleEndian.PutUint32(entry, uint32(head))
	binary.LittleEndian.PutUint32(entry[4:], uint32(n))
	r.done++
	r.order.Add(1) // the guest must not see the index before the entry
	binary.LittleEndian.PutUint16(r.used[2:], r.done)
	r.order.Add(1) // nor be interrupted before the index
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, err := r.call.Load().Write(one[:])
	return err
}

// wait returns when the guest has made something available.
func (r *ring) wait() error {
	var count [8]byte
	_, err := r.kick.Read(count[:])
	return err
}
