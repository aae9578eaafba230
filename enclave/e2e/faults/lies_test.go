//go:build linux

package faults

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// TestLiesOfThisHost leads a route's name to services of the parent's own host, as a name server would that is after them. Where routes
// to loopback were not asked for, as on platform nitro, nothing reaches them.
func TestLiesOfThisHost(t *testing.T) {
	t.Parallel()
	for _, lie := range []string{"127.0.0.1", "0.0.0.0", "169.254.169.254"} {
		w := &world{t: t, now: t, dir: shortDir(t), names: newNames(t)}
		w.names.lead(netip.MustParseAddr(lie), 3600)
		inner, err := net.ListenTCP("tcp4", &net.TCPAddr{}) // of every address, so that each lie would reach it
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { inner.Close() })
		program, args := w.names.under(filepath.Join(binaries, parentName), "vsock-proxy", "--plain",
			"--listen", fmt.Sprintf("unix://%s/s/%d.sock", w.dir, storePort), "--connect", fmt.Sprintf("%s:%d", storeName, inner.Addr().(*net.TCPAddr).Port))
		w.parent = w.start(rig.Command{Name: "parent", Binary: program, Args: args})
		var c net.Conn
		w.await("listener", func() bool {
			c, err = w.fromEnclave(storePort)
			return err == nil
		})
		defer c.Close()
		began := time.Now()
		_ = c.SetDeadline(began.Add(2 * deadline))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: read %d bytes, %v; want a connection that is closed", lie, n, err)
		}
		closed := time.Since(began)
		_ = inner.SetDeadline(time.Now().Add(100 * time.Millisecond))
		if reached, err := inner.Accept(); err == nil {
			reached.Close()
			t.Errorf("%s: a service of this host was reached", lie)
		}
		t.Logf("the name server lies: %s → closed after %v, nothing of this host was reached", lie, closed.Round(time.Millisecond))
	}
}
