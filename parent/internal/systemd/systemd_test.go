package systemd

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager listens as systemd does.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	return c
}

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if value, ok := strings.CutPrefix(p, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func TestTellIsOneMessage(t *testing.T) {
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sockets := []string{filepath.Join(dir, "notify")}
	if runtime.GOOS == "linux" {
		sockets = append(sockets, "@containment-chamber-test-"+strconv.Itoa(os.Getpid()))
	}
	for _, socket := range sockets {
		c := manager(t, socket)
		if err := Find(environment("NOTIFY_SOCKET="+socket), 1).Tell(Ready, Status("one\nline")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := c.Read(b)
		if got, want := string(b[:n]), "READY=1\nSTATUS=one; line"; err != nil || got != want {
			t.Errorf("%s was told %q, %v; want %q", socket, got, err, want)
		}
	}
}

func TestNobodyIsTold(t *testing.T) {
	if err := Find(environment(), 1).Tell(Ready); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	gone := Find(environment("NOTIFY_SOCKET="+filepath.Join(t.TempDir(), "gone")), 1)
	if err := gone.Tell(Ready); !errors.Is(err, syscall.ENOENT) || !strings.HasPrefix(err.Error(), "tell the service manager: ") {
		t.Errorf("a manager that is gone: %v", err)
	}
}

// TestTellDoesNotWaitForEver: nobody reads, and the socket's queue fills.
func TestTellDoesNotWaitForEver(t *testing.T) {
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "notify")
	manager(t, socket)
	m := Find(environment("NOTIFY_SOCKET="+socket), 1)
	for range 10_000 {
		if err := m.Tell(Status(strings.Repeat("x", 1000))); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, syscall.ENOBUFS) {
				t.Errorf("a full queue: %v", err)
			}
			return
		}
	}
	t.Error("the queue never filled")
}

func TestWatchdog(t *testing.T) {
	for _, test := range []struct {
		name string
		env  []string
		want time.Duration
	}{
		{"none", []string{"NOTIFY_SOCKET=/n"}, 0},
		{"half a minute", []string{"NOTIFY_SOCKET=/n", "WATCHDOG_USEC=30000000"}, 30 * time.Second},
		{"ours", []string{"NOTIFY_SOCKET=/n", "WATCHDOG_USEC=500", "WATCHDOG_PID=77"}, 500 * time.Microsecond},
		{"another process's", []string{"NOTIFY_SOCKET=/n", "WATCHDOG_USEC=500", "WATCHDOG_PID=78"}, 0},
		{"no socket", []string{"WATCHDOG_USEC=500"}, 0},
		{"not a number", []string{"NOTIFY_SOCKET=/n", "WATCHDOG_USEC=soon"}, 0},
		{"negative", []string{"NOTIFY_SOCKET=/n", "WATCHDOG_USEC=-1"}, 0},
	} {
		if got := Find(environment(test.env...), 77).Watchdog; got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
