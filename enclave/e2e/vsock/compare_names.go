package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// upstream is the name that the guest's one name server knows.
const upstream = "upstream.test"

// nameServer answers each question for A with the addresses, for a second, and each other with nothing.
// https://www.rfc-editor.org/rfc/rfc1035#section-4
func nameServer(addresses ...netip.Addr) (stop func(), err error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53})
	if err != nil {
		return nil, err
	}
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if reply := resolved(b[:n], addresses); reply != nil {
				_, _ = c.WriteToUDPAddrPort(reply, from)
			}
		}
	}()
	return func() { _ = c.Close() }, nil
}

func resolved(query []byte, addresses []netip.Addr) []byte {
	const header, typeA, classIN = 12, 1, 1
	end := header
	for end < len(query) && query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5 // the root label, type and class
	if end > len(query) {
		return nil
	}
	reply := append([]byte(nil), query[:end]...)
	if binary.BigEndian.Uint16(query[end-4:]) != typeA {
		addresses = nil
	}
	binary.BigEndian.PutUint16(reply[2:], 0x8180) // an answer, with recursion
	for i, count := range []int{1, len(addresses), 0, 0} {
		binary.BigEndian.PutUint16(reply[4+2*i:], uint16(count))
	}
	for _, a := range addresses {
		reply = append(reply, 0xC0, header, 0, typeA, 0, classIN, 0, 0, 0, 1, 0, 4) // the question's name, for a second, 4 bytes
		reply = append(reply, a.AsSlice()...)
	}
	return reply
}

// local is an address of the loopback network.
func local(last byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, last}) }

func secondAddress(ctx context.Context, p proxied) (answer, error) {
	stop, err := nameServer(local(2), local(1))
	if err != nil {
		return answer{}, err
	}
	defer stop()
	target, err := echoing(ctx, "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = target.Close() }()
	r := to(target)
	r.host = upstream
	return p.with(ctx, r, func(process *rig.Process) (answer, error) {
		const tries = 4
		good := 0
		for range tries {
			if c, err := served(ctx); err == nil {
				good++
				_ = c.Close()
			}
		}
		return answer{seen: fmt.Sprintf("%d of %d connections served", good, tries) + ending(process), well: good == tries}, nil
	})
}

func lateName(ctx context.Context, p proxied) (answer, error) {
	target, err := echoing(ctx, "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = target.Close() }()
	r := to(target)
	r.host = upstream
	process, err := p.start(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = process.Terminate() }()
	waiting, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	if err := awaitLine(waiting, process, p.ready); err != nil {
		return answer{seen: "does not start" + ending(process)}, nil
	}
	seen := "starts"
	if c, err := served(ctx); err != nil {
		seen += ", closes a connection meanwhile"
	} else {
		_ = c.Close()
	}
	stop, err := nameServer(local(1))
	if err != nil {
		return answer{}, err
	}
	defer stop()
	if err := anew(ctx); err != nil {
		return answer{seen: seen + fmt.Sprintf(", serves none when the name is there: %v", err) + ending(process)}, nil
	}
	return answer{seen: seen + ", serves when the name is there", well: true}, nil
}

func lostName(ctx context.Context, p proxied) (answer, error) {
	stop, err := nameServer(local(1))
	if err != nil {
		return answer{}, err
	}
	defer stop()
	target, err := echoing(ctx, "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = target.Close() }()
	r := to(target)
	r.host = upstream
	return p.with(ctx, r, func(process *rig.Process) (answer, error) {
		live, err := served(ctx)
		if err != nil {
			return answer{}, err
		}
		defer func() { _ = live.Close() }()
		stop()
		return outlived(ctx, process, live)
	})
}

// outlived waits until the addresses have expired for both proxies, whose floors are 0 s and 5 s, and asks for a new connection.
func outlived(ctx context.Context, process *rig.Process, live vsock.Conn) (answer, error) {
	select {
	case <-time.After(7 * time.Second):
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	}
	seen, well := "a new one is served", true
	if c, err := served(ctx); err != nil {
		seen, well = fmt.Sprintf("a new one is not served (%v)", err), false
	} else {
		_ = c.Close()
	}
	select { // whoever gives up closes the new one first
	case <-process.Done():
	case <-time.After(2 * time.Second):
	}
	lives := echoes(live) == nil
	if lives {
		seen += ", the live one lives"
	} else {
		seen += ", the live one ends"
	}
	return answer{seen: seen + ending(process), well: well && lives}, nil
}
