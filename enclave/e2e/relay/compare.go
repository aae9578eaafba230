package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// samples are the values of one figure for each contestant, repeat by repeat.
type samples map[string][]float64

// perRepeat compares two contestants within each repeat, and returns the median.
func (s samples) perRepeat(a, b string) float64 {
	var ratios []float64
	for i := range min(len(s[a]), len(s[b])) {
		ratios = append(ratios, s[a][i]/s[b][i])
	}
	return median(ratios)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// compare measures all and prints the figures.
func compare(ctx context.Context, out io.Writer, s *server, all []contestant, o options) error {
	if len(all) < 3 {
		_, _ = fmt.Fprintln(out, "socat is not installed: its figures are missing")
	}
	bytes := map[int]samples{1: {}, 64: {}}
	rate := samples{}
	late := map[int]map[string]latencies{1: {}, 100: {}, 1000: {}}
	for i := range o.repeats {
		for j := range all {
			c := all[(i+j)%len(all)] // who comes first differs
			for n, figures := range bytes {
				per, err := o.throughput(ctx, s, c, n)
				if err != nil {
					return fmt.Errorf("%s, %d streams: %w", c.name, n, err)
				}
				figures[c.name] = append(figures[c.name], per)
			}
			per, err := o.connections(ctx, c)
			if err != nil {
				return fmt.Errorf("%s, connections: %w", c.name, err)
			}
			rate[c.name] = append(rate[c.name], per)
		}
		for n, figures := range late {
			if err := o.latency(ctx, s, all, n, figures); err != nil {
				return err
			}
		}
	}
	waiting, err := o.waiting(ctx, all[0])
	if err != nil {
		return err
	}
	report(out, all, bytes, rate, late, waiting)
	return nil
}

// throughput is the bytes that n streams bring through in one second of the relay's CPU time.
func (o options) throughput(ctx context.Context, s *server, c contestant, n int) (float64, error) {
	r, err := c.run(ctx)
	if err != nil {
		return 0, err
	}
	streams, errs := make([]net.Conn, n), make([]error, n)
	for i := range n {
		if streams[i], err = dialSink(ctx, r.address); err != nil {
			return 0, err
		}
	}
	before := s.sunk.Load()
	sending, stop := context.WithTimeout(ctx, o.window)
	defer stop()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = stream(sending, streams[i]) })
	}
	all.Wait()
	moved := s.sunk.Load() - before
	cpu, err := r.stop()
	if err := errors.Join(append(errs, err)...); err != nil {
		return 0, err
	}
	return float64(moved) / cpu.Seconds(), nil
}

// connections is how many connections, each with one request, one after the other on each of 16 clients, one CPU second of the relay
// serves.
func (o options) connections(ctx context.Context, c contestant) (float64, error) {
	r, err := c.run(ctx)
	if err != nil {
		return 0, err
	}
	const clients = 16
	end := time.Now().Add(o.window)
	var all sync.WaitGroup
	errs, counts := make([]error, clients), make([]int, clients)
	for i := range clients {
		all.Go(func() {
			for time.Now().Before(end) && errs[i] == nil {
				errs[i] = once(ctx, r.address)
				counts[i]++
			}
		})
	}
	all.Wait()
	cpu, err := r.stop()
	if err := errors.Join(append(errs, err)...); err != nil {
		return 0, err
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / cpu.Seconds(), nil
}

// once is a connection with one request.
func once(ctx context.Context, address string) error {
	c, err := dial(ctx, address)
	if err != nil {
		return err
	}
	return errors.Join(c.ask(make([]byte, size)), c.Close())
}

// waiting is what the forwarder's resident memory grows by for each of 1,000 connections on which nothing happens, in bytes.
func (o options) waiting(ctx context.Context, c contestant) (float64, error) {
	r, err := c.run(ctx)
	if err != nil {
		return 0, err
	}
	const n = 1000
	before, err := r.resident()
	var open []client
	for i := 0; i < n && err == nil; i++ {
		var conn client
		if conn, err = dial(ctx, r.address); err == nil {
			open = append(open, conn)
			err = conn.ask(make([]byte, size))
		}
	}
	after, err2 := r.resident()
	for _, conn := range open {
		_ = conn.Close()
	}
	_, err3 := r.stop()
	return float64(after-before) / n, errors.Join(err, err2, err3)
}

// resident is the relay's resident memory in bytes (VmRSS, proc_pid_status(5)).
func (r *relay) resident() (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(r.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc/PID/status")
}
