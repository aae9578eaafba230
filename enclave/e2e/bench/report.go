package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report prints the figures: medians over the repeats.
func (p *plan) report(t table) {
	t.machine()
	t.note("medians of %d runs of %v each; processes of others had %.0f %% of the machine's CPU time meanwhile",
		p.repeats, p.window, 100*max(p.disturbed, 0))
	t.note("")
	t.note("CPU time for each signature, against the bare BLS signature just before and after:")
	t.line("bare BLS signature, all CPUs busy", "1.00×")
	t.note("    %.0f µs of CPU, %.0f to %.0f over the run", micros(median(p.raw)), micros(slices.Min(p.raw)), micros(slices.Max(p.raw)))
	for _, f := range p.phases {
		f.report(t)
	}
	if len(p.delays) > 0 {
		t.note("")
		t.note("one request at a time, median time minus that of the bare signature in turn with it:")
	}
	for _, l := range p.delays {
		l.report(t)
	}
	if p.has("memory") || len(p.bursts) > 0 {
		t.note("")
	}
	if p.has("memory") {
		t.held("resident memory for each of 10,000 keys, after the start", " KiB", float64(p.many-p.empty)/(manyKeys-1)/1024, targetMemory)
		t.note("    %.1f MiB with one key, %.1f MiB with 10,000", mebibytes(p.empty), mebibytes(p.many))
	}
	for _, b := range p.bursts {
		b.report(t)
	}
	for _, s := range p.sections {
		s.report(t)
	}
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func (p *phase) report(t table) {
	ratios := p.each(func(s sample) float64 { return float64(s.signer+s.parent) / float64(s.raw) })
	t.held(p.what, "×", median(ratios), p.target)
	more := fmt.Sprintf("    %.2f to %.2f; %.0f signatures a second", slices.Min(ratios), slices.Max(ratios),
		median(p.each(func(s sample) float64 { return float64(time.Second) / float64(s.wall) })))
	if p.server.parent != nil {
		more += fmt.Sprintf("; enclave %.2f×, parent %.2f×",
			median(p.each(func(s sample) float64 { return float64(s.signer) / float64(s.raw) })),
			median(p.each(func(s sample) float64 { return float64(s.parent) / float64(s.raw) })))
	}
	t.note("%s", more)
	if !p.metrics {
		return
	}
	t.note("    %.0f allocations and %.0f bytes a request", median(p.each(func(s sample) float64 { return s.mallocs })),
		median(p.each(func(s sample) float64 { return s.bytes })))
	t.held("    share of its CPU time spent on garbage, at most", " %", 100*median(p.each(func(s sample) float64 { return s.collecting })), targetGC)
}

func (p *phase) each(of func(sample) float64) (all []float64) {
	for _, s := range p.runs {
		all = append(all, of(s))
	}
	return all
}

func (l *latency) report(t table) {
	over := micros(median(l.over))
	if l.duty && l.server.parent == nil {
		t.held(l.what, " µs", over, targetOutside)
	} else {
		t.line(l.what, number(over)+" µs")
	}
	t.note("    %.0f to %.0f µs; the bare signature took %.0f µs", micros(slices.Min(l.over)), micros(slices.Max(l.over)), micros(median(l.raw)))
}

func (b *burst) report(t table) {
	against := b.against()
	t.held(b.what, "×", median(against), targetBurst)
	t.note("    of the time that all CPUs take if they do nothing but sign; %.2f to %.2f", slices.Min(against), slices.Max(against))
	t.note("    all answered 200; half after %.0f ms, 99 %% after %.0f ms, the last after %.0f ms",
		micros(b.after(0.5))/1000, micros(b.after(0.99))/1000, micros(b.after(1))/1000)
}

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
	t.judged(what, unit, figure, target, verdict)
}

// reached is a figure that should not be below its target.
func (t table) reached(what, unit string, figure, target float64) {
	verdict := "ok"
	if figure < target {
		verdict = "below target"
	}
	t.judged(what, unit, figure, target, verdict)
}

func (t table) judged(what, unit string, figure, target float64, verdict string) {
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
