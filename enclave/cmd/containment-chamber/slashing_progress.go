package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progressPause is the time between two drawings.
const progressPause = 100 * time.Millisecond

// progress draws on a terminal how far something is. A nil one draws nothing.
type progress struct {
	w           io.Writer
	name        string
	done, total int64 // total is 0 if it is not known
	drawn       time.Time
}

// newProgress is nil unless stderr is a terminal.
func newProgress(stderr io.Writer, name string, total int64) *progress {
	f, ok := stderr.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return &progress{w: stderr, name: name, total: total}
}

// add says that n more of total are done.
func (p *progress) add(n int64) {
	if p == nil {
		return
	}
	p.done += n
	if now := time.Now(); now.Sub(p.drawn) >= progressPause {
		p.drawn = now
		_, _ = fmt.Fprint(p.w, "\r"+p.line())
	}
}

// end takes the drawing away.
func (p *progress) end() {
	if p != nil && !p.drawn.IsZero() {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *progress) line() string {
	const width = 30
	if p.total <= 0 {
		return fmt.Sprintf("%s: %d", p.name, p.done)
	}
	share := min(float64(p.done)/float64(p.total), 1)
	full := int(share * width)
	return fmt.Sprintf("%s [%s%s] %3.0f %%", p.name, strings.Repeat("#", full), strings.Repeat(" ", width-full), share*100)
}
