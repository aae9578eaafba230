package ingress

import (
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
)

// TestSilentClientsAreAsked reads from an accepted connection whether the kernel asks for life on it. A client that is cut off without a
// word would else keep its place until the idle timeout.
func TestSilentClientsAreAsked(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	l, err := dir.Listen(9443)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := dial(t, run(t, dir, limits, false))
	defer client.Close()
	enclave, err := l.Accept() // so that the entrance holds the connection
	if err != nil {
		t.Fatal(err)
	}
	defer enclave.Close()
	fd := accepted(t, client)
	const every = 15 // seconds
	for _, option := range []struct {
		name                string
		level, number, want int
	}{
		{"SO_KEEPALIVE", syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, every},
		{"TCP_KEEPINTVL", syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, every},
	} {
		if got, err := syscall.GetsockoptInt(fd, option.level, option.number); got != option.want || err != nil {
			t.Errorf("%s = %d, %v; want %d", option.name, got, err, option.want)
		}
	}
}

// accepted is the descriptor, among those of this process, of the other end of a client's connection.
func accepted(t *testing.T, client *net.TCPConn) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	want := client.LocalAddr().(*net.TCPAddr).Port
	for _, entry := range open {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		if peer, err := syscall.Getpeername(fd); err == nil { // else it is no connected socket
			if tcp, ok := peer.(*syscall.SockaddrInet4); ok && tcp.Port == want {
				return fd
			}
		}
	}
	t.Fatalf("no connection of %v is open", client.LocalAddr())
	return -1
}
