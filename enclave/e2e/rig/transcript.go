package rig

import (
	"fmt"
	"io"
	"time"
)

// Transcript is what a person reads of a demonstration.
type Transcript struct {
	io.Writer

	began time.Time
	step  int
}

// NewTranscript begins one.
func NewTranscript(w io.Writer) *Transcript { return &Transcript{Writer: w, began: time.Now()} }

// Title begins a numbered step.
func (t *Transcript) Title(format string, args ...any) {
	t.step++
	_, _ = fmt.Fprintf(t, "\n%d. %s\n", t.step, fmt.Sprintf(format, args...))
}

// Note is a line of the current step.
func (t *Transcript) Note(format string, args ...any) {
	_, _ = fmt.Fprintf(t, "   %s\n", fmt.Sprintf(format, args...))
}

// Since is the time since the transcript began.
func (t *Transcript) Since() time.Duration { return time.Since(t.began).Round(10 * time.Millisecond) }
