package device

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// region is a piece of the guest's memory, which QEMU shares as a file.
type region struct {
	physical uint64 // where the guest sees it
	user     uint64 // where QEMU sees it
	content  []byte
	mapped   []byte // with what comes before it in the file
}

// memory is all of the guest's. Whatever the guest names outside of it is refused.
type memory []region

func (m memory) close() {
	for _, r := range m {
		_ = unix.Munmap(r.mapped)
	}
}

// mapRegion maps a file of which the region begins at offset.
func mapRegion(fd int, physical, user, size, offset uint64) (region, error) {
	const most = 1 << 40
	if size > most || offset > most {
		return region{}, fmt.Errorf("memory region of %d bytes at %d of its file", size, offset)
	}
	mapped, err := unix.Mmap(fd, 0, int(size+offset), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return region{}, fmt.Errorf("map the guest's memory: %w", err)
	}
	return region{physical: physical, user: user, content: mapped[offset:], mapped: mapped}, nil
}

var errOutside = errors.New("an address outside of the guest's memory")

// guest is the bytes at an address of the guest.
func (m memory) guest(address uint64, size int) ([]byte, error) {
	return m.find(address, size, func(r region) uint64 { return r.physical })
}

// qemu is the bytes at an address of QEMU.
func (m memory) qemu(address uint64, size int) ([]byte, error) {
	return m.find(address, size, func(r region) uint64 { return r.user })
}

func (m memory) find(address uint64, size int, base func(region) uint64) ([]byte, error) {
	for _, r := range m {
		at := address - base(r)
		if length := uint64(len(r.content)); address >= base(r) && at <= length && uint64(size) <= length-at {
			return r.content[at : at+uint64(size)], nil
		}
	}
	return nil, errOutside
}
