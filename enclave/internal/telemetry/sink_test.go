package telemetry

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// sink is the parent's side of the log stream.
type sink struct {
	t        *testing.T
	network  memvsock.Network
	listener net.Listener
	readers  sync.WaitGroup

	mu    sync.Mutex // held while lines is read or changed
	lines []line
}

func (s *sink) dial(ctx context.Context) (net.Conn, error) {
	return s.network.Dial(ctx, vsock.CIDParent, wire.PortLogs)
}

func (s *sink) listen() net.Listener {
	l, err := s.network.Listen(wire.PortLogs)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// start reads everything that comes until stop.
func (s *sink) start() {
	s.listener = s.listen()
	s.readers.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.readers.Go(func() { s.read(conn) })
		}
	})
}

func (s *sink) stop() {
	s.listener.Close()
	s.readers.Wait()
}

func (s *sink) read(conn net.Conn) {
	defer conn.Close()
	r := wire.NewLogReader(conn)
	for {
		text, cut, err := r.Next()
		if err != nil {
			return
		}
		if cut != 0 {
			s.t.Errorf("line %q has %d bytes too many", text, cut)
		}
		l := parse(s.t, text)
		s.mu.Lock()
		s.lines = append(s.lines, l)
		s.mu.Unlock()
	}
}

// gaps returns how many numbers are missing in the stream and how many of them it tells of.
func (s *sink) gaps() (missing, told uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := uint64(0)
	for _, l := range s.lines {
		if l.Seq <= last {
			s.t.Errorf("seq %d after %d", l.Seq, last)
		}
		if l.Seq-last-1 != l.DroppedBefore {
			s.t.Errorf("seq %d after %d says dropped_before %d", l.Seq, last, l.DroppedBefore)
		}
		missing += l.Seq - last - 1
		told += l.DroppedBefore
		last = l.Seq
	}
	return missing, told
}

func (s *sink) count(message string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.lines {
		if l.Message == message {
			n++
		}
	}
	return n
}

// running starts Run; the function returned ends it and tells how long that took and gives its error.
func running(t *testing.T, l *Logs) (stop func() (time.Duration, error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	return func() (time.Duration, error) {
		began := time.Now()
		cancel()
		err := <-ended
		return time.Since(began), err
	}
}

// pass lets virtual time go by.
func pass(d time.Duration) { <-time.After(d) }
