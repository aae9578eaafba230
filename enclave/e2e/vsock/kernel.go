package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// kernelChecks are about shared/vsock alone.
func kernelChecks() []check {
	return []check{
		{"both ends know the peer's context identifier, and another one is refused", linked(peers)},
		{"half-close by the dialling end: the answer still comes", linked(func(_ context.Context, l link) error { return halfClose(l.near, l.far) })},
		{"half-close by the accepting end: the answer still comes", linked(func(_ context.Context, l link) error { return halfClose(l.far, l.near) })},
		{"what was closed for writing takes nothing more", linked(writeAfterClose)},
		{"writes of any size, in both directions at once, arrive unchanged", linked(bulk)},
		{"a read deadline passes, and a later one reads on", linked(readDeadline)},
		{"a write deadline passes, and what was counted as written arrives", linked(writeDeadline)},
		{"a deadline in the past wakes a reader", linked(wakeByDeadline)},
		{"closing wakes a reader", linked(wakeByClose)},
		{"closing a listener wakes whoever accepts", wakeAccept},
		{"a port that nobody listens on refuses at once", refusedPort},
		{"a context identifier that is nobody's refuses at once", refusedCID},
		{"a dial ends with its context", cancelledDial},
		{"a taken port says so, and is free when its listener has closed", takenPort},
		{"a pipe of two connections passes bytes and half-closes, without a buffer while it waits", joinedPipe},
		{"a pipe that is silent for too long ends", silentPipe},
	}
}

func peers(_ context.Context, l link) error {
	for name, c := range map[string]net.Conn{"dialled": l.near, "accepted": l.far} {
		cid, err := vsock.PeerCID(c)
		if err != nil || cid != vsock.CIDLocal {
			return fmt.Errorf("the peer of the %s end: %d, %s, want %d", name, cid, told(err), vsock.CIDLocal)
		}
	}
	if err := vsock.CheckPeer(l.far, vsock.CIDLocal); err != nil {
		return err
	}
	err := vsock.CheckPeer(l.far, 16)
	if err == nil || !strings.Contains(err.Error(), "peer has context identifier 1, want 16") {
		return fmt.Errorf("a peer that is not the enclave: %s", told(err))
	}
	return nil
}

// halfClose has one end ask, end its direction, and read the answer that is given only then.
func halfClose(asks, answers vsock.Conn) error {
	question, answer := random(100_000), random(200_000)
	var asking error
	var both sync.WaitGroup
	both.Go(func() { asking = errors.Join(say(asks, question), hear(asks, answer)) })
	answering := errors.Join(hear(answers, question), say(answers, answer))
	both.Wait()
	return errors.Join(asking, answering)
}

func writeAfterClose(_ context.Context, l link) error {
	if err := l.near.CloseWrite(); err != nil {
		return err
	}
	if _, err := l.near.Write([]byte{1}); !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("write after a half-close: %s, want %w", told(err), syscall.EPIPE)
	}
	return hear(l.far, nil)
}

// bulk writes sizes around those at which kernels and hypervisors have begun to handle packets in another way, and more than
// the socket's buffer (256 KiB) in one call.
func bulk(_ context.Context, l link) error {
	sizes := []int{1, 28<<10 - 1, 28 << 10, 28<<10 + 1, 31<<10 - 1, 31 << 10, 31<<10 + 1, 32<<10 - 1, 32 << 10, 32<<10 + 1, 64 << 10, 64<<10 + 1, 256<<10 + 1, 1 << 20, 4<<20 + 3}
	total := 0
	for _, n := range sizes {
		total += n
	}
	there, back := random(total), random(total)
	var failures [4]error
	var ends sync.WaitGroup
	ends.Go(func() { failures[0] = pieces(l.near, there, sizes) })
	ends.Go(func() { failures[1] = pieces(l.far, back, sizes) })
	ends.Go(func() { failures[2] = hear(l.far, there) })
	ends.Go(func() { failures[3] = hear(l.near, back) })
	ends.Wait()
	return errors.Join(failures[:]...)
}

// pieces writes data in calls of the given sizes and ends the direction.
func pieces(c vsock.Conn, data []byte, sizes []int) error {
	for _, n := range sizes {
		if _, err := c.Write(data[:n]); err != nil {
			return fmt.Errorf("write of %d bytes: %w", n, err)
		}
		data = data[n:]
	}
	return c.CloseWrite()
}

func random(n int) []byte {
	data := make([]byte, n)
	_, _ = io.ReadFull(rand.Reader, data) // never fails
	return data
}
