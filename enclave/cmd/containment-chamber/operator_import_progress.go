package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// linePause is the time between two lines where no terminal is.
const linePause = 10 * time.Second

// importProgress tells how far an import is: on a terminal as a bar, elsewhere in lines. It is safe for concurrent use.
type importProgress struct {
	mu    sync.Mutex // held while the fields below are used
	w     io.Writer
	bar   *progress // of a terminal; else nil
	pause time.Duration
	began time.Time // when the first request did
	told  time.Time

	total, skipped, done, failed int // skipped ones are stored already
}

func newImportProgress(stderr io.Writer, total int) *importProgress {
	p := &importProgress{w: stderr, bar: newProgress(stderr, "keys", int64(total)), pause: linePause, total: total}
	p.began = time.Now()
	p.told = p.began
	if p.bar != nil {
		p.pause = progressPause
		p.write(p.line(p.began))
	}
	return p
}

// skip says that nothing is to be done for one more.
func (p *importProgress) skip() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.skipped++
	p.tell()
}

// add says that n more were tried, of which some failed.
func (p *importProgress) add(n, failed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	p.failed += failed
	p.tell()
}

func (p *importProgress) tell() {
	now := time.Now()
	if now.Sub(p.told) < p.pause {
		return
	}
	p.told = now
	p.write(p.line(now))
}

// write is called with mu held. A bar is drawn over the one before.
func (p *importProgress) write(line string) {
	if p.bar != nil {
		fmt.Fprint(p.w, "\r"+line+"\x1b[K")
		return
	}
	fmt.Fprintln(p.w, line)
}

// line says how far it is, how fast, and how long it takes at that pace.
func (p *importProgress) line(now time.Time) string {
	line := fmt.Sprintf("keys %d of %d", p.skipped+p.done, p.total)
	if p.bar != nil {
		p.bar.done = int64(p.skipped + p.done)
		line = fmt.Sprintf("%s  %d/%d", p.bar.line(), p.skipped+p.done, p.total)
	}
	if elapsed := now.Sub(p.began).Seconds(); elapsed > 0 && p.done > 0 {
		rate := float64(p.done) / elapsed
		left := time.Duration(float64(p.total-p.skipped-p.done) / rate * float64(time.Second))
		digits := 0
		if rate < 10 {
			digits = 1
		}
		line += fmt.Sprintf("  %.*f/s  %s left", digits, rate, left.Round(time.Second))
	}
	if p.failed > 0 {
		line += fmt.Sprintf("  %d failed", p.failed)
	}
	return line
}

// note prints a line of its own.
func (p *importProgress) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	fmt.Fprintln(p.w, text)
}

// end takes a bar away.
func (p *importProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
