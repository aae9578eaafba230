package egress

import (
	"net"
	"syscall"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// TestSilentTargetsAreAsked reads from a connection to a target whether the kernel asks for life on it. Nobody else would notice that a
// target is gone while the enclave waits for it.
func TestSilentTargetsAreAsked(t *testing.T) {
	r := New(config(unixvsock.Dir(t.TempDir())), wire.Route{Name: "db", Host: "127.0.0.1", Port: upper(t), VsockPort: 8001, Plain: true}, nop, newMetrics(newRegistry()))
	c, err := r.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	seconds := int(keepAlive.Seconds())
	for _, option := range []struct {
		name                string
		level, number, want int
	}{
		{"SO_KEEPALIVE", syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, seconds},
		{"TCP_KEEPINTVL", syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, seconds},
	} {
		err := raw.Control(func(fd uintptr) {
			if got, err := syscall.GetsockoptInt(int(fd), option.level, option.number); got != option.want || err != nil {
				t.Errorf("%s = %d, %v; want %d", option.name, got, err, option.want)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}
