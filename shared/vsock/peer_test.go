package vsock

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/mdlayher/vsock"
)

// from is a connection of which only the remote address is asked.
type from struct {
	net.Conn
	remote net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.remote }

func TestPeerCID(t *testing.T) {
	kernel := from{remote: &vsock.Addr{ContextID: 16, Port: 1024}}
	for _, tt := range []struct {
		name string
		conn net.Conn
		cid  uint32
		err  error
	}{
		{"AF_VSOCK", kernel, 16, nil},
		{"behind TLS", tls.Server(kernel, nil), 16, nil},
		{"our own address", from{remote: Addr{CID: 4, Port: 1}}, 4, nil},
		{"our own unix address", from{remote: Addr{Path: "/run", Port: 1}}, 0, ErrNoCID},
		{"unix", from{remote: &net.UnixAddr{Name: "@", Net: "unix"}}, 0, ErrNoCID},
		{"TCP", from{remote: &net.TCPAddr{}}, 0, ErrNoCID},
		{"no address", from{}, 0, ErrNoCID},
	} {
		cid, err := PeerCID(tt.conn)
		if cid != tt.cid || !errors.Is(err, tt.err) {
			t.Errorf("%s: PeerCID = %d, %v, want %d, %v", tt.name, cid, err, tt.cid, tt.err)
		}
	}
}

func TestCheckPeer(t *testing.T) {
	kernel := from{remote: &vsock.Addr{ContextID: 16, Port: 1024}}
	if err := CheckPeer(kernel, 16); err != nil {
		t.Errorf("the peer expected: %v", err)
	}
	err := CheckPeer(tls.Server(kernel, nil), CIDParent)
	if err == nil || !strings.Contains(err.Error(), "peer has context identifier 16, want 3") {
		t.Errorf("another peer: %v", err)
	}
	if err := CheckPeer(from{remote: &net.UnixAddr{}}, CIDParent); err != nil {
		t.Errorf("a transport without context identifiers: %v", err)
	}
}
