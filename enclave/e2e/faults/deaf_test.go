//go:build linux

package faults

import (
	"crypto/sha256"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// stream is more than all buffers between two processes take.
const stream = 32 << 20

// halfCloser is a TCP or a unix connection.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// deafPeer has one end of a connection by a route say nothing but hear nothing either, the other way round next: what it sends arrives whole
// while what it is sent waits, and nothing of that is lost.
func (w *world) deafPeer(s *strike) {
	for _, deaf := range []string{"the enclave", "the target"} {
		near, err := w.fromEnclave(deafPort)
		if err != nil {
			s.Fatal(err)
		}
		_ = w.deaf.SetDeadline(time.Now().Add(limit))
		far, err := w.deaf.Accept()
		if err != nil {
			s.Fatal(err)
		}
		one, other := halfCloser(near), far.(halfCloser)
		if deaf == "the target" {
			one, other = other, one
		}
		began := time.Now()
		w.hearsLate(s, one, other)
		s.note("%s deaf: %d MiB each way, whole, in %v", deaf, stream>>20, time.Since(began).Round(time.Millisecond))
		near.Close()
		far.Close()
	}
}

// hearsLate has one send everything before it reads anything.
func (w *world) hearsLate(s *strike, one, other halfCloser) {
	s.Helper()
	for _, c := range []net.Conn{one, other} {
		_ = c.SetDeadline(time.Now().Add(limit))
	}
	said := make(chan [sha256.Size]byte, 1)
	go func() { said <- says(s, other) }()
	sent := make(chan [sha256.Size]byte, 1)
	go func() { sent <- says(s, one) }()
	if heard := hears(s, other); heard != <-sent {
		s.Error("what the deaf one sent did not arrive as it was")
	}
	select {
	case <-said:
		s.Error("all that the deaf one was sent found room on the way: the test tries too little")
		return
	default:
	}
	if heard := hears(s, one); heard != <-said {
		s.Error("what the deaf one was sent did not arrive as it was")
	}
}

// says sends a stream and returns its digest.
func says(s *strike, c halfCloser) [sha256.Size]byte {
	digest := sha256.New()
	noise := rand.NewChaCha8([32]byte{1})
	if _, err := io.CopyN(io.MultiWriter(c, digest), noise, stream); err != nil {
		s.Errorf("send: %v", err)
	}
	if err := c.CloseWrite(); err != nil {
		s.Errorf("end: %v", err)
	}
	return sum(digest)
}

// hears reads a stream to its end and returns its digest.
func hears(s *strike, c net.Conn) [sha256.Size]byte {
	digest := sha256.New()
	if n, err := io.Copy(digest, c); err != nil || n != stream {
		s.Errorf("received %d bytes, %v", n, err)
	}
	return sum(digest)
}

func sum(h hash.Hash) [sha256.Size]byte { return [sha256.Size]byte(h.Sum(nil)) }
