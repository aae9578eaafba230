package main

import (
	"fmt"
	"io"
)

// Targets of the forwarder.
const (
	targetBare    = 0.95     // times the bare relay's bytes per CPU second, at least
	targetSocat   = 1.5      // times socat's
	targetWaiting = 16 << 10 // bytes of a waiting connection, at most
)

func report(out io.Writer, all []contestant, bytes map[int]samples, rate samples, late map[int]map[string]latencies, waiting float64) {
	own := all[0].name
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	line("the parent's forwarder, TCP to a unix socket, each relay a process of its own:")
	for _, n := range []int{1, 64} {
		for _, other := range all[1:] {
			target := map[string]float64{"bare relay": targetBare, "socat": targetSocat}[other.name]
			ratio := bytes[n].perRepeat(own, other.name)
			line("  bytes per CPU second, %2d streams     %5.2f x %-10s  (%.0f MB; target at least %.2f: %s)", n, ratio, other.name, median(bytes[n][own])/1e6, target, verdict(ratio >= target))
		}
	}
	for _, other := range all[1:] {
		line("  connections per CPU second           %5.2f x %-10s  (%.0f)", rate.perRepeat(own, other.name), other.name, median(rate[own]))
	}
	for _, n := range []int{1, 100, 1000} {
		base := late[n][direct]
		for _, c := range all {
			f := late[n][c.name]
			line("  added to %d B over %4d connections   p50 %4.0f µs, p99 %5.0f µs: %s", size, n, added(f.p50, base.p50), added(f.p99, base.p99), c.name)
		}
		if socat, ok := late[n]["socat"]; ok {
			line("  p99 no worse than socat's, %4d connections: %s", n, verdict(added(late[n][own].p99, base.p99) <= added(socat.p99, base.p99)))
		}
	}
	line("  a connection that waits              %5.1f KiB resident  (target at most %d: %s)", waiting/1024, targetWaiting>>10, verdict(waiting <= targetWaiting))
}

// added is the difference of two medians in microseconds.
func added(with, without []float64) float64 { return (median(with) - median(without)) * 1e6 }

func verdict(ok bool) string {
	if ok {
		return "met"
	}
	return "missed"
}
