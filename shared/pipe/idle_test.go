package pipe

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
)

const (
	idle     = 30 * time.Minute
	halfOpen = time.Minute
)

// bubble joins two connections in virtual time.
func bubble(t *testing.T, test func(left, right Conn, j *joined)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		left, a := memvsock.Pipe()
		b, right := memvsock.Pipe()
		j := &joined{}
		j.ended.Go(func() { j.counts, j.err = Join(t.Context(), a, b, Limits{Idle: idle, HalfOpen: halfOpen}) })
		test(left, right, j)
		j.ended.Wait()
		_ = left.Close()
		_ = right.Close()
	})
}

func TestSilenceEnds(t *testing.T) {
	bubble(t, func(_, _ Conn, j *joined) {
		start := time.Now()
		j.ended.Wait()
		if !errors.Is(j.err, ErrIdle) || time.Since(start) != idle {
			t.Errorf("Join = %v after %v, want %v after %v", j.err, time.Since(start), ErrIdle, idle)
		}
	})
}

func TestSilenceCountsFromTheLastByte(t *testing.T) {
	bubble(t, func(left, right Conn, j *joined) {
		start := time.Now()
		wait(idle - time.Second)
		pass(t, left, right, 1)
		j.ended.Wait()
		if want := 2*idle - time.Second; !errors.Is(j.err, ErrIdle) || time.Since(start) != want {
			t.Errorf("Join = %v after %v, want %v after %v", j.err, time.Since(start), ErrIdle, want)
		}
		if j.counts != (Counts{AToB: 1}) {
			t.Errorf("counts %+v", j.counts)
		}
	})
}

func TestOneDirectionKeepsBothAlive(t *testing.T) {
	for _, fromLeft := range []bool{true, false} {
		bubble(t, func(left, right Conn, j *joined) {
			from, to := left, right
			if !fromLeft {
				from, to = right, left
			}
			for range 10 {
				wait(idle - time.Nanosecond)
				pass(t, from, to, 100)
			}
			pass(t, to, from, 1) // the silent direction has not been cut
			_ = from.CloseWrite()
			_ = to.CloseWrite()
			j.ended.Wait()
			if j.err != nil || j.counts.AToB+j.counts.BToA != 1001 {
				t.Errorf("Join = %+v, %v", j.counts, j.err)
			}
		})
	}
}

func TestHalfOpenAndSilent(t *testing.T) {
	bubble(t, func(left, right Conn, j *joined) {
		wait(idle / 2)
		_ = left.CloseWrite()
		if _, err := right.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the half-close arrived as %v", err)
		}
		wait(halfOpen - time.Second)
		pass(t, right, left, 1) // what still flows keeps it alive
		start := time.Now()
		j.ended.Wait()
		if !errors.Is(j.err, ErrHalfOpen) || time.Since(start) != halfOpen {
			t.Errorf("Join = %v after %v, want %v after %v", j.err, time.Since(start), ErrHalfOpen, halfOpen)
		}
	})
}

func TestPeerThatStopsReading(t *testing.T) {
	bubble(t, func(left, right Conn, j *joined) {
		start := time.Now()
		if _, err := left.Write(make([]byte, 1000)); err != nil { // into the pipe's buffer
			t.Fatal(err)
		}
		if _, err := io.ReadFull(right, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		if n, err := left.Write(make([]byte, 1000)); err == nil { // until the pipe ends
			t.Errorf("the pipe took %d bytes that nobody reads", n)
		}
		j.ended.Wait()
		if !errors.Is(j.err, ErrIdle) || time.Since(start) != idle {
			t.Errorf("Join = %v after %v, want %v after %v", j.err, time.Since(start), ErrIdle, idle)
		}
		if j.counts != (Counts{AToB: 10}) {
			t.Errorf("counts %+v, want the 10 bytes that were read", j.counts)
		}
	})
}

// A reader that pauses for longer than the limit, while the other direction flows, loses nothing. Over
// TLS too, where a write that times out would break the connection for good.
func TestPauseWhileTheOtherDirectionFlows(t *testing.T) {
	for _, secure := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			left, a := memvsock.Pipe()
			var b, right Conn = memvsock.Pipe()
			if secure {
				b, right = handshake(t, b, right)
			}
			j := &joined{}
			j.ended.Go(func() { j.counts, j.err = Join(t.Context(), a, b, Limits{Idle: idle, HalfOpen: halfOpen}) })
			const size = 5000
			var writing sync.WaitGroup
			writing.Go(func() { _, _ = left.Write(make([]byte, size)); _ = left.CloseWrite() })
			for range 5 {
				wait(idle - time.Second)
				pass(t, right, left, 1)
			}
			if n, err := io.Copy(io.Discard, right); n != size || err != nil {
				t.Errorf("after the pause %d bytes came, %v, want %d", n, err, size)
			}
			writing.Wait()
			_ = right.CloseWrite()
			_, _ = io.Copy(io.Discard, left)
			j.ended.Wait()
			if want := (Counts{AToB: size, BToA: 5}); j.err != nil || j.counts != want {
				t.Errorf("Join = %+v, %v, want %+v", j.counts, j.err, want)
			}
			_ = left.Close()
			_ = right.Close()
		})
	}
}

// handshake puts TLS around a connection.
func handshake(t *testing.T, server, client vsock.Conn) (s, c Conn) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	tlsServer := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}})
	tlsClient := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	var both sync.WaitGroup
	both.Go(func() {
		if err := tlsServer.Handshake(); err != nil {
			t.Error(err)
		}
	})
	if err := tlsClient.Handshake(); err != nil {
		t.Error(err)
	}
	both.Wait()
	return tlsServer, tlsClient
}

// wait lets virtual time pass.
func wait(d time.Duration) { <-time.After(d) }

// pass sends n bytes through the pipe and takes them out.
func pass(t *testing.T, from, to Conn, n int) {
	t.Helper()
	var writing sync.WaitGroup
	writing.Go(func() {
		if _, err := from.Write(make([]byte, n)); err != nil {
			t.Error(err)
		}
	})
	if _, err := io.ReadFull(to, make([]byte, n)); err != nil {
		t.Error(err)
	}
	writing.Wait()
	synctest.Wait()
}
