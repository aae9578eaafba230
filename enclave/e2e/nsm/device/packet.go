package device

import (
	"encoding/binary"
	"fmt"
)

// headerSize is that of struct virtio_vsock_hdr (VIRTIO 1.2, 5.10.6).
const headerSize = 44

// op is what a packet is for.
type op uint16

const (
	opRequest op = iota + 1
	opResponse
	opReset
	opShutdown
	opData
	opCredit
	opAskCredit
)

// Flags of a shutdown.
const (
	noMoreReads  = 1
	noMoreWrites = 2
)

const typeStream = 1

// packet is one message between guest and device.
type packet struct {
	from, to         uint64 // context identifiers
	fromPort, toPort uint32
	kind             uint16
	op               op
	flags            uint32
	room             uint32 // the sender's buffer for this connection
	consumed         uint32 // how much of what came has left that buffer
	data             []byte
}

func parsePacket(b []byte) (packet, error) {
	if len(b) < headerSize {
		return packet{}, fmt.Errorf("packet of %d bytes", len(b))
	}
	le := binary.LittleEndian
	p := packet{
		from: le.Uint64(b), to: le.Uint64(b[8:]), fromPort: le.Uint32(b[16:]), toPort: le.Uint32(b[20:]),
		kind: le.Uint16(b[28:]), op: op(le.Uint16(b[30:])), flags: le.Uint32(b[32:]), room: le.Uint32(b[36:]), consumed: le.Uint32(b[40:]),
	}
	if n := le.Uint32(b[24:]); uint64(n) != uint64(len(b)-headerSize) {
		return packet{}, fmt.Errorf("packet with %d bytes of data says that it has %d", len(b)-headerSize, n)
	}
	p.data = b[headerSize:]
	return p, nil
}

func (p packet) encode() []byte {
	b := make([]byte, headerSize, headerSize+len(p.data))
	le := binary.LittleEndian
	le.PutUint64(b, p.from)
	le.PutUint64(b[8:], p.to)
	le.PutUint32(b[16:], p.fromPort)
	le.PutUint32(b[20:], p.toPort)
	le.PutUint32(b[24:], uint32(len(p.data)))
	le.PutUint16(b[28:], typeStream)
	le.PutUint16(b[30:], uint16(p.op))
	le.PutUint32(b[32:], p.flags)
	le.PutUint32(b[36:], p.room)
	le.PutUint32(b[40:], p.consumed)
	return append(b, p.data...)
}
