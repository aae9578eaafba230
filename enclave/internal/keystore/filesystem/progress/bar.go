package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

const (
	cells        = 24 // of the bar
	usualColumns = 80 // of a terminal that does not tell
)

// Bar is one line at the bottom of a terminal, above which the log lines pass: they must all be written through it. A nil Bar
// shows nothing. It is safe for concurrent use.
type Bar struct {
	lines   io.Writer
	screen  io.Writer
	columns func() int

	mu    sync.Mutex // held while anything is written, so that a log line never begins within the bar
	shown string     // what stands on the screen
}

// NewBar makes a bar on screen, for a process that writes its log to lines; nil if screen is no terminal.
func NewBar(lines, screen io.Writer) *Bar {
	file, ok := screen.(*os.File)
	if !ok || columns(file) == 0 {
		return nil
	}
	return &Bar{lines: lines, screen: screen, columns: func() int { return columns(file) }}
}

// columns is the width of a terminal, and 0 if the file is none. Only terminals have a size (ioctl_tty(2), TIOCGWINSZ).
func columns(file *os.File) int {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0
	}
	width := 0
	err = raw.Control(func(fd uintptr) {
		switch size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); {
		case err != nil:
		case size.Col == 0:
			width = usualColumns
		default:
			width = int(size.Col)
		}
	})
	if err != nil {
		return 0
	}
	return width
}

// Write writes whole log lines. Their errors are returned; a terminal that takes no bar is nobody's trouble.
func (b *Bar) Write(lines []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	shown := b.shown
	b.put("")
	n, err := b.lines.Write(lines)
	b.put(shown)
	return n, err
}

func (b *Bar) show(p filesystem.Progress) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	text := draw(p)
	b.put(text[:min(len(text), max(b.columns()-1, 0))])
}

func (b *Bar) hide() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put("")
}

// put replaces what stands on the screen, in one write and with nothing but spaces, which every terminal knows. It is called with
// mu held.
func (b *Bar) put(text string) {
	if text == b.shown {
		return
	}
	blank := ""
	if rest := len(b.shown) - len(text); rest > 0 {
		blank = strings.Repeat(" ", rest) + strings.Repeat("\b", rest)
	}
	if text == "" {
		blank += "\r"
	}
	_, _ = io.WriteString(b.screen, "\r"+text+blank)
	b.shown = text
}

// draw is the bar in ASCII, on one line.
func draw(p filesystem.Progress) string {
	full := cells * p.Done / max(p.Total, 1)
	text := fmt.Sprintf("keys [%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat("-", cells-full), p.Done, p.Total)
	if p.Failed > 0 {
		text += fmt.Sprintf(", %d failed", p.Failed)
	}
	if p.Left > 0 {
		text += fmt.Sprintf(", about %s left", p.Left.Round(time.Second))
	}
	return text
}
