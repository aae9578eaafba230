// Package proxyproto writes and reads the header by which a proxy tells whom it speaks for: version 2 of
// https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt, §2.2, binary, for TCP.
package proxyproto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// signature begins each header.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

const (
	fixed = len(signature) + 4 // signature, version and command, family, length
	// MaxHeader is the most bytes of a header that is read: the addresses, and what a proxy adds in TLVs.
	MaxHeader = fixed + 1024

	local, proxied = 0x20, 0x21 // version 2 with its commands
	tcp4, tcp6     = 0x11, 0x21
)

// ErrMalformed is returned for what is no header of version 2.
var ErrMalformed = errors.New("no PROXY protocol v2 header")

// Append appends the header of a connection from source to destination. If either is not valid, the header says nothing of them
// (command LOCAL).
func Append(b []byte, source, destination netip.AddrPort) []byte {
	b = append(b, signature...)
	if !source.IsValid() || !destination.IsValid() {
		return append(b, local, 0, 0, 0)
	}
	from, to := source.Addr().Unmap(), destination.Addr().Unmap()
	family := byte(tcp4)
	if !from.Is4() || !to.Is4() {
		family = tcp6
		from, to = netip.AddrFrom16(from.As16()), netip.AddrFrom16(to.As16())
	}
	b = append(b, proxied, family)
	b = binary.BigEndian.AppendUint16(b, uint16(2*from.BitLen()/8+4))
	b = append(b, from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, source.Port())
	return binary.BigEndian.AppendUint16(b, destination.Port())
}

// Read reads one header from r, and not a byte more, and returns the source; it is not valid if the header tells none: command LOCAL, or
// another family than TCP over IP. An error is ErrMalformed, or r's.
func Read(r io.Reader) (netip.AddrPort, error) {
	var none netip.AddrPort
	head := make([]byte, fixed)
	if _, err := io.ReadFull(r, head); err != nil {
		return none, fmt.Errorf("read PROXY protocol header: %w", err)
	}
	length := int(binary.BigEndian.Uint16(head[fixed-2:]))
	command, family := head[len(signature)], head[len(signature)+1]
	switch {
	case string(head[:len(signature)]) != signature:
		return none, ErrMalformed
	case command != local && command != proxied:
		return none, fmt.Errorf("%w: version and command %#x", ErrMalformed, command)
	case fixed+length > MaxHeader:
		return none, fmt.Errorf("%w: %d bytes long", ErrMalformed, fixed+length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return none, fmt.Errorf("read PROXY protocol header: %w", err)
	}
	size := 0
	switch family {
	case tcp4:
		size = 4
	case tcp6:
		size = 16
	}
	if command == local || size == 0 {
		return none, nil
	}
	if length < 2*size+4 {
		return none, fmt.Errorf("%w: %d bytes of addresses", ErrMalformed, length)
	}
	source, _ := netip.AddrFromSlice(body[:size])
	return netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(body[2*size:])), nil
}
