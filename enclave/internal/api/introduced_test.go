package api

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/proxyproto"
)

// acceptOne accepts one connection that was dialed before.
type acceptOne struct {
	net.Listener
	c net.Conn
}

func (l acceptOne) Accept() (net.Conn, error) { return l.c, nil }

func TestIntroduced(t *testing.T) {
	source, here := netip.MustParseAddrPort("192.0.2.1:50000"), netip.MustParseAddrPort("127.0.0.1:9443")
	for name, test := range map[string]struct {
		sent, from string
		err        error
	}{
		"introduced":     {string(proxyproto.Append(nil, source, here)) + "hello", "192.0.2.1:50000", nil},
		"of itself":      {string(proxyproto.Append(nil, netip.AddrPort{}, here)) + "hello", "pipe", nil},
		"no header":      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more", "pipe", proxyproto.ErrMalformed},
		"a silent proxy": {"", "pipe", os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far, near := net.Pipe()
				go func() { _, _ = io.WriteString(far, test.sent) }()
				c, err := Introduced(acceptOne{c: near}).Accept()
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if got := c.RemoteAddr().String(); got != test.from {
					t.Errorf("remote address %s, want %s", got, test.from)
				}
				if took := time.Since(began); took > introductionTimeout {
					t.Errorf("took %v", took)
				}
				b := make([]byte, 5)
				_, err = io.ReadFull(c, b)
				if !errors.Is(err, test.err) || err == nil && string(b) != "hello" {
					t.Errorf("read %q, %v; want hello, %v", b, err, test.err)
				}
				_ = c.Close()
				_ = far.Close()
			})
		})
	}
}
