package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// held is what the parent holds at one moment, by its own metrics.
type held struct{ resident, files, goroutines, connections float64 }

// Growth beyond what a first tenth of the connections has left behind. Memory has room for what the collector has not got to.
const (
	mayGrow      = 1.5
	moreFiles    = 8
	moreRoutines = 16
)

// churn opens and closes n connections through a whole parent, 32 at a time, each with one request, and prints what the parent holds at each
// tenth. What still grows after the first of them is an error.
func churn(ctx context.Context, out io.Writer, proxy, dir string, n int) error {
	parent, metrics, err := wholeParent(ctx, proxy, dir)
	if err != nil {
		return err
	}
	r, err := parent.run(ctx)
	if err != nil {
		return err
	}
	first, last, err := r.churn(ctx, out, metrics, n)
	cpu, err2 := r.stop()
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%.0f µs of CPU time each\n", cpu.Seconds()*1e6/float64(n))
	return last.flat(first)
}

func (r *relay) churn(ctx context.Context, out io.Writer, metrics string, n int) (first, last held, err error) {
	_, _ = fmt.Fprintf(out, "%11s %12s %6s %10s\n", "connections", "resident MiB", "files", "goroutines")
	for tenth := range 10 {
		if err := many(ctx, r.address, n/10); err != nil {
			return first, last, err
		}
		if last, err = settle(ctx, metrics); err != nil {
			return first, last, err
		}
		if tenth == 0 {
			first = last
		}
		_, _ = fmt.Fprintf(out, "%11d %12.1f %6.0f %10.0f\n", (tenth+1)*(n/10), last.resident/(1<<20), last.files, last.goroutines)
	}
	return first, last, nil
}

// many makes n connections.
func many(ctx context.Context, address string, n int) error {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	errs := make([]error, 32)
	for i := range errs {
		all.Go(func() {
			for left.Add(-1) >= 0 && errs[i] == nil {
				errs[i] = once(ctx, address)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// flat is an error that names what has grown since before.
func (h held) flat(before held) error {
	var grown []error
	if h.resident > mayGrow*before.resident {
		grown = append(grown, fmt.Errorf("resident memory grew from %.0f to %.0f bytes", before.resident, h.resident))
	}
	if h.files > before.files+moreFiles {
		grown = append(grown, fmt.Errorf("open files grew from %.0f to %.0f", before.files, h.files))
	}
	if h.goroutines > before.goroutines+moreRoutines {
		grown = append(grown, fmt.Errorf("goroutines grew from %.0f to %.0f", before.goroutines, h.goroutines))
	}
	return errors.Join(grown...)
}

// wholeParent is a parent with all its parts before the enclave's socket in dir, and the address of its metrics.
func wholeParent(ctx context.Context, proxy, dir string) (c contestant, metrics string, err error) {
	var ports [4]string // those of a signer's clients, of its health and metrics, and of the parent's own
	for i := range ports {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return contestant{}, "", err
		}
		defer func() { _ = l.Close() }() // all at once: none comes twice
		_, ports[i], _ = net.SplitHostPort(l.Addr().String())
	}
	file := filepath.Join(dir, "config.yaml")
	err = os.WriteFile(file, fmt.Appendf(nil, "network: hoodi\nlog: {level: error}\ntls: {mode: atls, listen_port: %s}\nserver: {listen_address: 127.0.0.1, listen_port: %s}\n"+
		"metrics: {listen_address: 127.0.0.1, listen_port: %s}\ntee: {platform: simulated, simulated: {socket_dir: %s}}\nparent: {drain_timeout_seconds: 1, health: {listen_port: %s}}\n",
		ports[0], ports[1], ports[2], dir, ports[3]), 0o600)
	c = contestant{"parent", net.JoinHostPort("127.0.0.1", ports[0]), func(string) []string { return []string{proxy, "run", "-c", file} }}
	return c, "http://" + net.JoinHostPort("127.0.0.1", ports[3]) + "/metrics", err
}

// settle asks until the parent has closed its side of the last connections.
func settle(ctx context.Context, metrics string) (held, error) {
	for deadline := time.Now().Add(10 * time.Second); ; {
		h, err := hold(ctx, metrics)
		if err != nil || h.connections == 0 {
			return h, err
		}
		if time.Now().After(deadline) {
			return h, fmt.Errorf("%.0f connections do not end", h.connections)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// hold asks the parent what it holds.
func hold(ctx context.Context, metrics string) (held, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, metrics, nil)
	if err != nil {
		return held{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return held{}, err
	}
	defer func() { _ = res.Body.Close() }()
	var h held
	wanted := map[string]*float64{
		"process_resident_memory_bytes": &h.resident, "process_open_fds": &h.files, "go_goroutines": &h.goroutines,
		`containment_parent_connections_active{listener="ingress/api"}`: &h.connections,
	}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if to, ok := wanted[name]; ok {
			if *to, err = strconv.ParseFloat(value, 64); err != nil {
				return held{}, fmt.Errorf("%s: %w", name, err)
			}
			delete(wanted, name)
		}
	}
	if len(wanted) > 0 {
		return held{}, fmt.Errorf("no %v in %s", wanted, metrics)
	}
	return h, nil
}
