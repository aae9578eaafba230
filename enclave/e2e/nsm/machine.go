package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/nsm/device"
	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/nsm/told"
	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// What the machine is told of its instance, which the device measures.
const (
	instanceID = "i-0123456789abcdef0"
	moduleID   = instanceID + "-enc0123456789abcdef"
	enclaveCID = 16
)

// machine is one enclave, emulated.
type machine struct {
	*rig.Process

	console string     // file
	ended   chan error // has how the device of its sockets ended
	cancel  context.CancelFunc
}

// boot starts an image.
func (w *world) boot(image string) (*machine, error) {
	control := w.path("vhost")
	for _, file := range []string{control, w.socket()} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: control, Net: "unix"})
	if err != nil {
		return nil, err
	}
	w.boots++
	m := &machine{console: w.path(fmt.Sprintf("console-%d", w.boots)), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() { m.ended <- (&device.Device{CID: enclaveCID, File: w.socket()}).Serve(ctx, l) }()
	firmware := filepath.Join(w.options.parts, "firmware")
	m.Process, err = rig.Start(rig.Command{
		Name: "machine", Binary: filepath.Join(w.options.parts, "qemu-system-x86_64"), Log: m.console,
		Args: []string{
			"-L", firmware, "-accel", "tcg", "-cpu", "max", "-m", "1024",
			// One processor: with two, QEMU 10.0 may look for a request while the guest has written half of it, and the device is then dead.
			"-smp", "1",
			"-chardev", "socket,id=vsock,path=" + control,
			"-M", "nitro-enclave,vsock=vsock,id=" + moduleID + ",parent-role=" + rig.KMSRole + ",parent-id=" + instanceID + ",acpi=on",
			"-kernel", image, "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
		},
	})
	if err != nil {
		cancel()
		return nil, errors.Join(err, <-m.ended)
	}
	return m, nil
}

// stop ends the machine as a crash of the instance does, unless it has ended.
func (m *machine) stop() error {
	err := m.Kill()
	m.cancel()
	if reason := <-m.ended; !errors.Is(reason, context.Canceled) {
		err = errors.Join(err, reason)
	}
	return err
}

// lines are what the console shows.
func (m *machine) lines() []string {
	text, err := os.ReadFile(m.console)
	if err != nil {
		return []string{err.Error()}
	}
	return strings.Split(string(text), "\n")
}

// facts waits for what the guest has to tell.
func (m *machine) facts(ctx context.Context) (f told.Facts, err error) {
	err = rig.Await(ctx, "the guest's facts", func() (found bool, err error) {
		ended := m.over() // before its lines are read: nothing comes after
		for _, line := range m.lines() {
			if f, found, err = told.Read(line); found {
				return err == nil, err
			}
		}
		return false, ended
	})
	return f, err
}

// over is an error once the machine has ended.
func (m *machine) over() error {
	select {
	case <-m.Done():
		return fmt.Errorf("the machine %w", rig.ErrEnded)
	default:
		return nil
	}
}

// instance is what an instance has besides the parent: nitro-cli, which waits for the enclave's heartbeat, and here an echo.
type instance struct {
	heartbeats atomic.Int64
}

// heartbeat is the one byte that init and nitro-cli exchange (nitro-cli, ENCLAVE_READY_VSOCK_PORT).
const heartbeat = 0xB7

// serveInstance listens until the world ends.
func (w *world) serveInstance(context.Context) error {
	for port, serve := range map[uint32]func(net.Conn) error{
		wire.PortInitHeartbeat: func(c net.Conn) error {
			var b [1]byte
			if _, err := io.ReadFull(c, b[:]); err != nil || b[0] != heartbeat {
				return fmt.Errorf("heartbeat %x: %w", b, err)
			}
			w.instance.heartbeats.Add(1)
			_, err := c.Write(b[:])
			return err
		},
		told.EchoPort: func(c net.Conn) error {
			content, err := io.ReadAll(io.LimitReader(c, 2*told.EchoBytes))
			if err != nil {
				return err
			}
			_, err = c.Write(content)
			return err
		},
	} {
		l, err := unixvsock.Hybrid(w.socket()).Listen(port)
		if err != nil {
			return err
		}
		w.cleanup = append(w.cleanup, l.Close)
		go acceptAll(l, serve)
	}
	return nil
}

func acceptAll(l net.Listener, serve func(net.Conn) error) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_ = serve(c) // the guest tells what came of it
			_ = c.Close()
		}()
	}
}
