package vsock

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a transport like the one the cap is for: a write above 32 KiB arrives changed.
type recorder struct {
	Conn
	got    bytes.Buffer
	writes []int
	fail   int // the write that fails, counted from 1, after half of its bytes; 0 is none
}

var errBroken = errors.New("broken")

func (r *recorder) Write(b []byte) (int, error) {
	r.writes = append(r.writes, len(b))
	if len(r.writes) == r.fail {
		r.got.Write(b[:len(b)/2])
		return len(b) / 2, errBroken
	}
	r.got.Write(b)
	if len(b) > 32<<10 {
		r.got.Bytes()[r.got.Len()-1] ^= 1
	}
	return len(b), nil
}

func TestCapSplitsWrites(t *testing.T) {
	for _, tt := range []struct {
		size   int
		writes []int
	}{
		{0, []int{0}},
		{1, []int{1}},
		{MaxWrite - 1, []int{MaxWrite - 1}},
		{MaxWrite, []int{MaxWrite}},
		{MaxWrite + 1, []int{MaxWrite, 1}},
		{32<<10 + 1, []int{MaxWrite, 32<<10 + 1 - MaxWrite}},
		{3*MaxWrite + 5, []int{MaxWrite, MaxWrite, MaxWrite, 5}},
	} {
		data := make([]byte, tt.size)
		_, _ = rand.Read(data)
		r := &recorder{}
		n, err := Capped(r).Write(data)
		if n != tt.size || err != nil {
			t.Errorf("write of %d: %d, %v", tt.size, n, err)
		}
		if !bytes.Equal(r.got.Bytes(), data) {
			t.Errorf("write of %d arrived changed", tt.size)
		}
		if !slices.Equal(r.writes, tt.writes) {
			t.Errorf("write of %d was split into %v, want %v", tt.size, r.writes, tt.writes)
		}
	}
}

func TestCapCountsWhatWasWrittenBeforeAFailure(t *testing.T) {
	r := &recorder{fail: 3}
	n, err := Capped(r).Write(make([]byte, 3*MaxWrite))
	if want := 2*MaxWrite + MaxWrite/2; n != want || !errors.Is(err, errBroken) {
		t.Errorf("Write = %d, %v, want %d, %v", n, err, want, errBroken)
	}
	if len(r.writes) != 3 {
		t.Errorf("%d writes, want none after the failure", len(r.writes))
	}
}

// A copy loop asks for these to go around Write.
func TestCapHidesShortcuts(t *testing.T) {
	a, b := unixPair(t)
	defer a.Close()
	defer b.Close()
	if _, ok := a.(io.ReaderFrom); ok {
		t.Error("the capped connection has ReadFrom")
	}
	if _, ok := a.(io.WriterTo); ok {
		t.Error("the capped connection has WriteTo")
	}
}

func TestCapKeepsConcurrentWritesWhole(t *testing.T) {
	r := &recorder{}
	c := Capped(r)
	const size = 3*MaxWrite + 7
	var writers sync.WaitGroup
	for i := range byte(8) {
		writers.Go(func() { _, _ = c.Write(bytes.Repeat([]byte{i}, size)) })
	}
	writers.Wait()
	for got := r.got.Bytes(); len(got) > 0; got = got[size:] {
		if n := bytes.Count(got[:size], got[:1]); n != size {
			t.Fatalf("of one write of %d bytes only %d stand together", size, n)
		}
	}
}

func TestCappedConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := unixPair(t)
		return a, b, func() { _ = a.Close(); _ = b.Close() }, nil
	})
}

// unixPair is two capped ends of one unix connection.
func unixPair(t *testing.T) (a, b Conn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: l.Addr().String(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	return Capped(near), Capped(far)
}
