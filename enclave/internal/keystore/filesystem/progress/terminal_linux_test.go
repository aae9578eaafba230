package progress

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

// terminal opens a pseudo-terminal (pty(7)): what is written to the second file is read from the first.
func terminal(t *testing.T, columns uint16) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return screen, tty
}

func TestBarOnARealTerminal(t *testing.T) {
	for columns, want := range map[uint16]string{
		120: "keys [############------------] 1 of 2, 1 failed",
		21:  "keys [############--",
		0:   "keys [############------------] 1 of 2, 1 failed", // a serial line
	} {
		screen, tty := terminal(t, columns)
		b := NewBar(tty, tty)
		if b == nil {
			t.Fatalf("a terminal of %d columns is none", columns)
		}
		b.show(filesystem.Progress{Total: 2, Done: 1, Failed: 1})
		if _, err := b.Write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
		got, err := bufio.NewReader(screen).ReadString('\n')
		if err != nil || !strings.HasPrefix(got, "\r"+want+"\r ") || !strings.HasSuffix(got, " \b\b\rline\r\n") && !strings.HasSuffix(got, "\b\rline\r\n") {
			t.Errorf("%d columns: %q, %v; want %q", columns, got, err, want)
		}
	}
}

func TestNoTerminalNoBar(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, f := range []*os.File{file, null, write, closed, nil} {
		if NewBar(file, f) != nil {
			t.Errorf("%v is a terminal", f)
		}
	}
	if NewBar(file, new(strings.Builder)) != nil {
		t.Error("a buffer is a terminal")
	}
}
