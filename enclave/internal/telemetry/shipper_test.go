package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

func TestSinkStoppedAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t}
		l := newLogs(t, Shipped(s.dial, Bounds{Lines: 10}))
		stop := running(t, l)

		began := time.Now()
		for range 1000 {
			l.Logger().Info("work")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("logging took %v", took)
		}
		if l.Dropped() < 990 {
			t.Errorf("%d dropped, want at least 990", l.Dropped())
		}

		s.start()
		pass(2 * maxPause)
		l.Logger().Info("after")
		pass(time.Second)
		if s.count("after") != 1 {
			t.Error("the stream did not resume")
		}
		if missing, told := s.gaps(); missing != l.Dropped() || told != l.Dropped() {
			t.Errorf("%d numbers missing, %d told, %d dropped", missing, told, l.Dropped())
		}
		if _, err := stop(); err != nil {
			t.Error(err)
		}
		s.stop()
	})
}

func TestDropsAreToldWithoutAnotherLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t}
		s.start()
		l := newLogs(t, Shipped(s.dial, Bounds{Lines: 3}))
		for range 5 {
			l.Logger().Info("work")
		}
		stop := running(t, l)
		pass(time.Second)
		if n := s.count("log lines were dropped and none came after them"); n != 1 {
			t.Errorf("told %d times", n)
		}
		if missing, told := s.gaps(); missing != 2 || told != 2 {
			t.Errorf("%d missing, %d told, want 2", missing, told)
		}
		if _, err := stop(); err != nil {
			t.Error(err)
		}
		s.stop()
	})
}

func TestByteBound(t *testing.T) {
	l := newLogs(t, Shipped(nil, Bounds{Bytes: 1000}))
	for range 10 {
		l.Logger().Info(strings.Repeat("x", 200))
	}
	if l.Dropped() < 7 || l.Dropped() > 8 {
		t.Errorf("%d dropped; three lines of about 350 bytes do not all fit into 1000", l.Dropped())
	}
}

func TestSetBufferLines(t *testing.T) {
	l := newLogs(t, Shipped(nil, Bounds{Lines: 1}))
	fill := func(want uint64) {
		t.Helper()
		for range 10 {
			l.Logger().Info("work")
		}
		if l.Dropped() != want {
			t.Errorf("%d dropped, want %d", l.Dropped(), want)
		}
	}
	fill(9)
	l.SetBufferLines(6)
	fill(9 + 5)
	l.SetBufferLines(0)
	fill(9 + 5 + 10)
}

func TestReconnectTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Time
		l := newLogs(t, Shipped(func(context.Context) (net.Conn, error) {
			tries = append(tries, time.Now())
			return nil, errors.New("nobody listens")
		}, Bounds{}))
		l.Logger().Info("waits")
		stop := running(t, l)
		pass(time.Minute)
		synctest.Wait()
		if len(tries) < 12 {
			t.Fatalf("%d tries in a minute", len(tries))
		}
		want := minPause
		for i := 1; i < len(tries); i++ {
			pause := tries[i].Sub(tries[i-1])
			if pause < want*8/10 || pause > want*12/10 {
				t.Errorf("pause %d is %v, want %v ±20%%", i, pause, want)
			}
			want = min(2*want, maxPause)
		}
		if got := l.linkFailures.Load(); got != uint64(len(tries)) {
			t.Errorf("%d failures counted of %d", got, len(tries))
		}
		took, err := stop()
		if took > flushLimit || err == nil || !strings.Contains(err.Error(), "not delivered within 1s: connect to the log sink: nobody listens") {
			t.Errorf("after %v: %v", took, err)
		}
		if l.Dropped() != 2 { // the line, and the one about the sink
			t.Errorf("%d dropped", l.Dropped())
		}
	})
}

func TestFirstAndChangedReasonIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t}
		tries := 0
		l := newLogs(t, Shipped(func(ctx context.Context) (net.Conn, error) {
			tries++
			if tries < 8 {
				return nil, fmt.Errorf("reason %d", tries/4)
			}
			return s.dial(ctx)
		}, Bounds{}))
		s.start()
		stop := running(t, l)
		pass(time.Minute)
		if lost, back := s.count("log sink lost"), s.count("log sink reached"); lost != 2 || back != 1 {
			t.Errorf("lost %d times, reached %d times", lost, back)
		}
		if _, err := stop(); err != nil {
			t.Error(err)
		}
		s.stop()
	})
}

func TestShutdownFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t}
		s.start()
		l := newLogs(t, Shipped(s.dial, Bounds{}))
		stop := running(t, l)
		synctest.Wait()
		for range 5000 {
			l.Logger().Info("work", zap.String("pad", strings.Repeat("x", 100)))
		}
		took, err := stop()
		if err != nil || took > flushLimit {
			t.Errorf("after %v: %v", took, err)
		}
		s.stop()
		if n := s.count("work"); n != 5000 || l.Dropped() != 0 {
			t.Errorf("%d lines came, %d dropped", n, l.Dropped())
		}
	})
}

func TestShutdownWakesTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t}
		l := newLogs(t, Shipped(s.dial, Bounds{}))
		l.Logger().Info("work")
		stop := running(t, l)
		pass(20*time.Second + time.Millisecond) // now pauses are longer than the time to flush
		s.start()
		if took, err := stop(); err != nil || took > flushLimit {
			t.Errorf("after %v: %v", took, err)
		}
		s.stop()
		if s.count("work") != 1 {
			t.Error("the line did not come")
		}
	})
}

func TestShutdownWithASinkThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t}
		listener := s.listen()
		defer listener.Close()
		l := newLogs(t, Shipped(s.dial, Bounds{}))
		l.Logger().Info("stuck")
		stop := running(t, l)
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		synctest.Wait()
		took, err := stop()
		if took != flushLimit || err == nil || !strings.Contains(err.Error(), "flush logs: ") {
			t.Errorf("after %v: %v", took, err)
		}
		if l.Dropped() == 0 {
			t.Error("lines that were not delivered are not counted")
		}
	})
}

func TestSinkThatHangsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t}
		listener := s.listen()
		l := newLogs(t, Shipped(s.dial, Bounds{}))
		l.Logger().Info("work")
		stop := running(t, l)
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		listener.Close()
		s.start()
		pass(writeLimit + time.Second)
		if s.count("work") != 1 {
			t.Error("the line did not come over a second connection")
		}
		if _, err := stop(); err != nil {
			t.Error(err)
		}
		s.stop()
	})
}

// A connection that breaks within a batch loses nothing: the line that was cut comes again, whole.
func TestBrokenWriteIsResent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t}
		listener := s.listen()
		l := newLogs(t, Shipped(s.dial, Bounds{}))
		for range 20 {
			l.Logger().Info("work")
		}
		stop := running(t, l)
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		head := make([]byte, 700) // within some line
		n, err := conn.Read(head)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		whole := bytes.Count(head[:n], []byte("\n"))
		if whole == 0 || head[n-1] == '\n' {
			t.Fatalf("the test cuts no line: %q", head[:n])
		}
		s.start()
		pass(time.Second)
		if got := s.count("work"); got != 20-whole {
			t.Errorf("%d lines came, want %d", got, 20-whole)
		}
		s.mu.Lock()
		first := s.lines[0].Seq
		s.mu.Unlock()
		if first != uint64(whole+1) {
			t.Errorf("resumed at seq %d, want %d", first, whole+1)
		}
		if _, err := stop(); err != nil {
			t.Error(err)
		}
		s.stop()
	})
}

// countingConn notes the size of every write.
type countingConn struct {
	net.Conn
	sizes *[]int
}

func (c countingConn) Write(b []byte) (int, error) {
	*c.sizes = append(*c.sizes, len(b))
	return c.Conn.Write(b)
}

func TestManyLinesAreFewWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{t: t}
		s.start()
		var sizes []int
		l := newLogs(t, Shipped(func(ctx context.Context) (net.Conn, error) {
			c, err := s.dial(ctx)
			return countingConn{c, &sizes}, err
		}, Bounds{}))
		stop := running(t, l)
		for range 1000 {
			l.Logger().Info("work")
			pass(100 * time.Microsecond)
		}
		l.Logger().Info("long", zap.String("pad", strings.Repeat("x", 40<<10)))
		if _, err := stop(); err != nil {
			t.Error(err)
		}
		s.stop()
		if len(sizes) > 20 {
			t.Errorf("%d writes for 1000 lines in 100 ms", len(sizes))
		}
		for _, n := range sizes {
			if n > vsock.MaxWrite {
				t.Errorf("a write of %d bytes", n)
			}
		}
		if s.count("work") != 1000 || s.count("long") != 1 {
			t.Errorf("%d and %d lines came", s.count("work"), s.count("long"))
		}
	})
}
