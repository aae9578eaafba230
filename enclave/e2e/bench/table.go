package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// table is what a person reads: what, figure, target, verdict.
type table struct{ w io.Writer }

func (t table) machine() {
	model := "unknown CPU"
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	_, _ = fmt.Fprintf(t.w, "machine: %s, %d CPUs, %s/%s, %s\n", model, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

func (t table) note(format string, args ...any) {
	_, _ = fmt.Fprintf(t.w, "%s\n", fmt.Sprintf(format, args...))
}

// line is a figure without a target.
func (t table) line(what, figure string) { _, _ = fmt.Fprintf(t.w, "%-62s %10s\n", what, figure) }

// held is a figure that should not be above its target.
func (t table) held(what, unit string, figure, target float64) {
	verdict := "ok"
	if figure > target {
		verdict = "above target"
	}
	_, _ = fmt.Fprintf(t.w, "%-62s %10s   target %-8s %s\n", what, number(figure)+unit, number(target)+unit, verdict)
}

// number keeps as many digits as a figure of its size deserves.
func number(f float64) string {
	if f >= 20 || f <= -20 || f == float64(int(f)) {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
