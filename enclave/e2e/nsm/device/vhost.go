package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Requests of vhost-user that QEMU makes of a device without more features than these.
const (
	getFeatures         = 1
	setFeatures         = 2
	setOwner            = 3
	setMemory           = 5
	setRingSize         = 8
	setRingAddress      = 9
	setRingBase         = 10
	getRingBase         = 11
	setRingKick         = 12
	setRingCall         = 13
	setRingError        = 14
	getProtocolFeatures = 15
	setProtocolFeatures = 16
	enableRing          = 18
	getConfig           = 24
)

const (
	featureVersion1 = 1 << 32 // VIRTIO_F_VERSION_1
	featureProtocol = 1 << 30 // VHOST_USER_F_PROTOCOL_FEATURES
	protocolConfig  = 1 << 9  // VHOST_USER_PROTOCOL_F_CONFIG
)

// driver is QEMU's end of the control socket.
type driver struct {
	device *Device
	conn   *net.UnixConn
	memory memory
	mapped memory // the earlier ones too, because the rings run meanwhile
	fds    []int  // that came with the message at hand, and nobody took
}

// run answers requests until QEMU has gone.
func (v *driver) run() error {
	defer func() { v.mapped.close() }()
	defer func() { v.device.stop(); v.device.all.Wait() }() // before the memory goes
	for {
		request, payload, err := v.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("vhost-user: %w", err)
		}
		answer, err := v.do(request, payload)
		for _, fd := range v.fds {
			_ = unix.Close(fd)
		}
		v.fds = nil
		if err == nil && answer != nil {
			err = v.answer(request, answer)
		}
		if err != nil {
			return fmt.Errorf("vhost-user request %d: %w", request, err)
		}
	}
}

// read returns one message; the descriptors that came with it are in v.fds.
func (v *driver) read() (request uint32, payload []byte, err error) {
	var header [12]byte
	control := make([]byte, unix.CmsgSpace(8*4))
	n, controlled, _, _, err := v.conn.ReadMsgUnix(header[:], control)
	if err != nil {
		return 0, nil, err
	}
	if n == 0 {
		return 0, nil, io.EOF
	}
	if messages, err := unix.ParseSocketControlMessage(control[:controlled]); err == nil {
		for _, m := range messages {
			if fds, err := unix.ParseUnixRights(&m); err == nil {
				v.fds = append(v.fds, fds...)
			}
		}
	}
	if _, err := io.ReadFull(v.conn, header[n:]); err != nil {
		return 0, nil, err
	}
	size := binary.NativeEndian.Uint32(header[8:])
	if size > 4096 {
		return 0, nil, fmt.Errorf("message of %d bytes", size)
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(v.conn, payload)
	return binary.NativeEndian.Uint32(header[:]), payload, err
}

func (v *driver) answer(request uint32, payload []byte) error {
	const versionAndReply = 1 | 1<<2
	b := binary.NativeEndian.AppendUint32(nil, request)
	b = binary.NativeEndian.AppendUint32(b, versionAndReply)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(payload)))
	_, err := v.conn.Write(append(b, payload...))
	return err
}

// do carries out a request. The answer is nil if QEMU waits for none.
func (v *driver) do(request uint32, p []byte) ([]byte, error) {
	short := map[uint32]int{setMemory: 8, setRingSize: 8, setRingAddress: 40, setRingBase: 8, getRingBase: 8, setRingKick: 8, setRingCall: 8, getConfig: 12}
	if len(p) < short[request] {
		return nil, fmt.Errorf("payload of %d bytes", len(p))
	}
	ne := binary.NativeEndian
	switch request {
	case getFeatures:
		return ne.AppendUint64(nil, featureVersion1|featureProtocol), nil
	case getProtocolFeatures:
		return ne.AppendUint64(nil, protocolConfig), nil
	case setFeatures, setProtocolFeatures, setOwner, enableRing, setRingError:
		return nil, nil
	case getConfig: // offset, size, flags, and then the configuration: the guest's context identifier
		cid := ne.AppendUint64(nil, uint64(v.device.CID))
		offset, size := ne.Uint32(p), ne.Uint32(p[4:])
		if offset != 0 || size > 8 {
			return nil, fmt.Errorf("configuration of %d bytes at %d", size, offset)
		}
		return append(p[:12:12], cid[:size]...), nil
	case setMemory:
		return nil, v.setMemory(p)
	}
	return v.ring(request, p)
}

func (v *driver) setMemory(p []byte) error {
	v.memory = nil
	n := int(binary.NativeEndian.Uint32(p))
	if n > len(v.fds) || len(p) < 8+32*n {
		return fmt.Errorf("%d memory regions with %d descriptors", n, len(v.fds))
	}
	for i := range n {
		field := func(k int) uint64 { return binary.NativeEndian.Uint64(p[8+32*i+8*k:]) }
		r, err := mapRegion(v.fds[i], field(0), field(2), field(1), field(3))
		if err != nil {
			return err
		}
		v.memory, v.mapped = append(v.memory, r), append(v.mapped, r)
	}
	return nil
}

// ring sets up one of the two rings: 0 is what the guest receives, 1 what it sends.
func (v *driver) ring(request uint32, p []byte) ([]byte, error) {
	number := binary.NativeEndian.Uint32(p) & 0xff
	if number > 1 {
		return nil, fmt.Errorf("ring %d", number)
	}
	r, work := &v.device.rx, v.device.deliver
	if number == 1 {
		r, work = &v.device.tx, v.device.fromGuest
	}
	value := binary.NativeEndian.Uint32(p[4:])
	switch request {
	case setRingSize:
		r.size = uint16(value)
	case setRingBase:
		r.next, r.done = uint16(value), uint16(value)
	case getRingBase: // QEMU stops the ring; the guest has gone
		return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, number), uint32(r.next)), nil
	case setRingAddress:
		return nil, v.place(r, p)
	case setRingCall:
		if call := v.event("call"); call != nil {
			r.call.Store(call)
		}
	case setRingKick:
		if r.kick != nil {
			return nil, nil
		}
		if r.kick = v.event("kick"); r.kick == nil || r.call.Load() == nil || r.size == 0 || r.memory == nil {
			return nil, errors.New("a ring that is not set up")
		}
		v.device.all.Go(work)
	default:
		return nil, errors.New("not a request that a device without more features gets")
	}
	return nil, nil
}

func (v *driver) place(r *ring, p []byte) error {
	address := func(k int) uint64 { return binary.NativeEndian.Uint64(p[8+8*k:]) }
	size := int(r.size)
	var err error
	for _, part := range []struct {
		of     *[]byte
		at     uint64
		length int
	}{{&r.desc, address(0), descSize * size}, {&r.used, address(1), 4 + 8*size}, {&r.avail, address(2), 4 + 2*size}} {
		if *part.of, err = v.memory.qemu(part.at, part.length); err != nil {
			return err
		}
	}
	r.memory = v.memory
	return nil
}

// event takes the descriptor that came with the message, nil if none did.
func (v *driver) event(name string) *os.File {
	if len(v.fds) == 0 {
		return nil
	}
	fd := v.fds[0]
	v.fds = v.fds[1:]
	_ = unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}
