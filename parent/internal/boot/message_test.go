package boot

import (
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestHangingReaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		c := r.connect(t)
		if err := wire.WriteMessage(c, wire.Hello{Version: wire.Version}); err != nil {
			t.Fatal(err)
		}
		<-time.After(stepTimeout + time.Second) // nobody reads the configuration
		synctest.Wait()
		failed := r.logged.FilterMessage("boot conversation failed").All()
		if len(failed) != 1 || !strings.HasPrefix(failed[0].ContextMap()["error"].(string), "send wire.Configuration: ") {
			t.Errorf("logged %v", failed)
		}
		_ = c.Close()
		r.stop()
	})
}

// TestEnclaveThatReadsNoAnswers beats all the same: it is not silent.
func TestEnclaveThatReadsNoAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		c := r.configured(t)
		if err := wire.WriteMessage(c, wire.Heartbeat{Digest: digest}); err != nil {
			t.Fatal(err)
		}
		<-time.After(stepTimeout + time.Millisecond)
		r.expect(t, "the enclave's boot connection ended: send wire.Heartbeat: it was not taken within 10s: write pipe: i/o timeout (0s ago)", 1)
		r.stop()
		_ = c.Close()
	})
}

// odd is a connection that is, for the kernel, another socket.
type odd struct {
	vsock.Conn
	reset  atomic.Bool // writes fail as those of package mdlayher/vsock do
	socket syscall.Conn
}

func (o *odd) SyscallConn() (syscall.RawConn, error) { return o.socket.SyscallConn() }

func (o *odd) Write(b []byte) (int, error) {
	if o.reset.Load() {
		return 0, &net.OpError{Op: "write", Net: "vsock", Err: io.EOF}
	}
	return o.Conn.Write(b)
}

// unconnectedSocket is one of which the kernel says ENOTCONN.
func unconnectedSocket(t *testing.T) *os.File {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "unconnected")
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// closedSocket is one whose peer closed it in order.
func closedSocket(t *testing.T) *os.File {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Close(fds[1])
	f := os.NewFile(uintptr(fds[0]), "closed")
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestResetIsNoClose although package mdlayher/vsock says io.EOF of both.
func TestResetIsNoClose(t *testing.T) {
	const ended = "the enclave's boot connection ended: "
	beat := func(o *odd, c vsock.Conn) error {
		o.reset.Store(true)
		return wire.WriteMessage(c, wire.Heartbeat{Digest: digest})
	}
	hangUp := func(_ *odd, c vsock.Conn) error { return c.Close() }
	for _, test := range []struct {
		name     string
		socket   func(*testing.T) *os.File
		happens  func(*odd, vsock.Conn) error
		want     string
		failures float64
	}{
		{"closed", closedSocket, hangUp, "the enclave closed its boot connection (0s ago)", 0},
		{"a read", unconnectedSocket, hangUp, ended + "wait for a heartbeat: read: " + syscall.ENOTCONN.Error() + " (0s ago)", 1},
		{"a write", unconnectedSocket, beat, ended + "send wire.Heartbeat: " + syscall.ENOTCONN.Error() + " (0s ago)", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t)
				near, far := memvsock.Pipe()
				o := &odd{Conn: far, socket: test.socket(t)}
				var serving sync.WaitGroup
				serving.Go(func() { r.serve(t.Context(), o) })
				exchange(t, near, wire.Hello{Version: wire.Version})
				if err := wire.WriteMessage(near, wire.Acknowledgement{Digest: digest}); err != nil {
					t.Fatal(err)
				}
				r.expect(t, "", 0)
				if err := test.happens(o, near); err != nil {
					t.Fatal(err)
				}
				serving.Wait()
				r.expect(t, test.want, 1)
				if n := testutil.ToFloat64(r.metrics.failures); n != test.failures {
					t.Errorf("%v failures, want %v", n, test.failures)
				}
				r.stop()
				_ = near.Close()
			})
		})
	}
}
