// Package device is the vsock device of an emulated enclave, whose parent has context identifier 3 as on a Nitro instance.
//
// QEMU is its driver over vhost-user (https://qemu-project.gitlab.io/qemu/interop/vhost-user.html). The parent's side are unix sockets, in the form
// that Firecracker gave them: what the guest sends to port P arrives at FILE_P, and who connects to FILE writes "CONNECT P\n" first.
package device

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// Device connects the ports of one guest.
type Device struct {
	CID  uint32 // the guest's
	File string // the socket on this machine

	tx, rx  ring
	failure func(error)

	mu       sync.Mutex // held while the fields below are used; front is set before and never changes
	queued   sync.Cond
	toGuest  []packet
	stopped  bool
	front    net.Listener
	flows    map[ports]*flow
	nextPort uint32

	all sync.WaitGroup
}

// firstPort is the first that the parent's side dials from.
const firstPort = 1 << 30

// Serve is the device of the one QEMU that connects to l, until that ends or ctx does.
func (d *Device) Serve(ctx context.Context, l *net.UnixListener) error {
	d.queued.L = &d.mu
	d.flows, d.nextPort = make(map[ports]*flow), firstPort
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d.failure = func(err error) { cancel(err) }
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	control, err := l.AcceptUnix()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = control.Close() })()
	if d.front, err = new(net.ListenConfig).Listen(ctx, "unix", d.File); err != nil {
		return err
	}
	d.all.Go(func() { d.accept(d.front) })
	err = (&driver{device: d, conn: control}).run()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// stop ends all connections.
func (d *Device) stop() {
	d.mu.Lock()
	d.stopped = true
	flows := d.flows
	d.flows = make(map[ports]*flow)
	d.queued.Broadcast()
	d.mu.Unlock()
	_ = d.front.Close()
	for _, f := range flows {
		f.mu.Lock()
		f.close()
		f.mu.Unlock()
	}
	for _, r := range []*ring{&d.tx, &d.rx} {
		if r.kick != nil {
			_ = r.kick.Close()
		}
	}
}

// fromGuest takes what the guest sends, until the ring is closed.
func (d *Device) fromGuest() {
	for d.tx.wait() == nil {
		for {
			head, written, _, ok, err := d.tx.take()
			if err != nil {
				d.failure(fmt.Errorf("the guest's ring: %w", err))
				return
			}
			if !ok {
				break
			}
			p, err := parsePacket(written)
			if err == nil {
				d.heard(p)
				err = d.tx.give(head, 0)
			}
			if err != nil {
				d.failure(err)
				return
			}
		}
	}
}

// heard brings a packet to its flow. A flow that is not there is begun by a request, and is refused to any other packet.
func (d *Device) heard(p packet) {
	if p.from != uint64(d.CID) || p.to != uint64(vsock.CIDParent) || p.kind != typeStream {
		if p.op != opReset {
			d.send(packet{from: p.to, fromPort: p.toPort, toPort: p.fromPort, op: opReset})
		}
		return
	}
	name := ports{guest: p.fromPort, parent: p.toPort}
	d.mu.Lock()
	f := d.flows[name]
	d.mu.Unlock()
	switch {
	case f != nil:
		f.heard(p)
	case p.op == opRequest:
		d.all.Go(func() { d.reach(name, p) })
	case p.op != opReset:
		d.send(packet{fromPort: p.toPort, toPort: p.fromPort, op: opReset})
	}
}

// reach connects the guest to who listens for it.
func (d *Device) reach(name ports, request packet) {
	c, err := new(net.Dialer).Dial("unix", d.File+"_"+strconv.FormatUint(uint64(name.parent), 10))
	if err != nil {
		d.send(packet{fromPort: name.parent, toPort: name.guest, op: opReset})
		return
	}
	f := newFlow(name, c.(*net.UnixConn), d.send)
	f.answered, f.hisRoom, f.hisTaken = true, request.room, request.consumed
	if !d.add(f) {
		return
	}
	f.mu.Lock()
	f.tell(opResponse, 0, nil)
	f.mu.Unlock()
	d.carry(f)
}

// accept takes in who wants to reach the guest.
func (d *Device) accept(front net.Listener) {
	for {
		c, err := front.Accept()
		if err != nil {
			return
		}
		d.all.Go(func() {
			if err := d.connect(c.(*net.UnixConn)); err != nil {
				_ = c.Close()
			}
		})
	}
}

// askLimit is how long somebody may take to say which port he wants.
const askLimit = 5 * time.Second

// connect is one connection to the guest, from its first line on.
func (d *Device) connect(c *net.UnixConn) error {
	if err := c.SetDeadline(time.Now().Add(askLimit)); err != nil {
		return err
	}
	asked := bufio.NewReaderSize(c, 32) // a client sends nothing more before it has the answer
	line, err := asked.ReadSlice('\n')
	if err := errors.Join(err, c.SetDeadline(time.Time{})); err != nil {
		return err
	}
	var port uint32
	if _, err := fmt.Sscanf(string(line), "CONNECT %d\n", &port); err != nil || asked.Buffered() > 0 {
		return errors.New("not CONNECT PORT")
	}
	d.mu.Lock()
	d.nextPort++
	f := newFlow(ports{guest: port, parent: d.nextPort}, c, d.send)
	d.mu.Unlock()
	if !d.add(f) {
		return nil
	}
	f.mu.Lock()
	f.tell(opRequest, 0, nil)
	f.mu.Unlock()
	if f.accepted() {
		if _, err := fmt.Fprintf(c, "OK %d\n", f.ports.parent); err != nil {
			f.mu.Lock()
			f.reset()
			f.mu.Unlock()
		}
	}
	d.carry(f)
	return nil
}

// add begins a flow, unless the device has stopped.
func (d *Device) add(f *flow) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		_ = f.conn.Close()
		return false
	}
	d.flows[f.ports] = f
	return true
}

func (d *Device) carry(f *flow) {
	f.run()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.flows[f.ports] == f {
		delete(d.flows, f.ports)
	}
}

// send queues a packet for the guest. The queue is bounded by the room that the guest gives, but for packets without data.
func (d *Device) send(p packet) {
	if p.from == 0 {
		p.from = uint64(vsock.CIDParent)
	}
	p.to = uint64(d.CID)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.toGuest = append(d.toGuest, p)
	d.queued.Broadcast()
}

// deliver puts what is queued into the guest's buffers, until the device stops.
func (d *Device) deliver() {
	for {
		d.mu.Lock()
		for len(d.toGuest) == 0 && !d.stopped {
			d.queued.Wait()
		}
		if d.stopped {
			d.mu.Unlock()
			return
		}
		next := d.toGuest[0].encode()
		d.toGuest = d.toGuest[1:]
		d.mu.Unlock()
		head, wanted, err := d.buffer()
		if err == nil {
			err = fill(wanted, next)
		}
		if err == nil {
			err = d.rx.give(head, len(next))
		}
		if err != nil {
			d.failure(fmt.Errorf("the guest's buffers: %w", err))
			return
		}
	}
}

// buffer waits for one of the guest.
func (d *Device) buffer() (head uint16, wanted [][]byte, err error) {
	for {
		head, _, wanted, ok, err := d.rx.take()
		if ok || err != nil {
			return head, wanted, err
		}
		if err := d.rx.wait(); err != nil {
			return 0, nil, err
		}
	}
}

func fill(wanted [][]byte, content []byte) error {
	for _, b := range wanted {
		content = content[copy(b, content):]
	}
	if len(content) > 0 {
		return fmt.Errorf("too small by %d bytes", len(content))
	}
	return nil
}
