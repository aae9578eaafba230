// Package telemetry tells operators what the process does.
package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// The values of a line's "process".
const (
	ProcessEnclave = "enclave" // behind a parent
	ProcessSigner  = "signer"  // alone
)

// maxEnclaveID is the most bytes of an enclave's name that lines carry; AWS gives about 40.
const maxEnclaveID = 128

// tailReserve is the room that a line keeps for the fields which [Logs] puts at its end, in bytes.
const tailReserve = 1 << 10

// Options are what [NewLogs] needs.
type Options struct {
	// Process is [ProcessEnclave] or [ProcessSigner].
	Process string
	// Level is the least severe level that is logged until SetLevel changes it. The zero value is info.
	Level zapcore.Level
	// Output is where lines go: [Direct] or [Shipped].
	Output Output
	// Registry gets the counters.
	Registry prometheus.Registerer
}

// Output is one way for lines to leave the process. The set is closed.
type Output interface {
	// put takes one line with its newline, or returns false if the line is lost. The line is valid during the call.
	put(line []byte) bool
	// resize changes how many lines may wait.
	resize(lines int)
	// run does what is left to do until ctx ends, then flushes.
	run(ctx context.Context, l *Logs) error
}

// Logs numbers the log lines of this process and hands them to its output. Each line is a JSON object with
// timestamp (RFC 3339, nanoseconds, UTC), level, logger (when named), message, the fields given, and at its end, where
// no field given can stand in for them:
//
//	process         "enclave" or "signer"
//	boot_id         drawn at random by NewLogs
//	enclave_id      once SetEnclaveID told it
//	dropped_before  how many lines were dropped between the line before and this one, if any
//	seq             1, 2, 3, … in the order of the stream, dropped lines included
//
// The host that carries the lines away is not trusted: a gap in seq that dropped_before does not explain was lost outside.
type Logs struct {
	output    Output
	level     zap.AtomicLevel
	exception exception
	logger    *zap.Logger
	process   string
	bootID    string

	dropped      atomic.Uint64 // lines that will never be seen
	internal     atomic.Uint64 // errors within zap and its encoder
	linkFailures atomic.Uint64 // connections to the sink that failed

	mu      sync.Mutex // held while one line is numbered, kept and handed over, so that the stream is in the order of the numbers
	tail    []byte     // the fields of every line that stay the same, each after a comma
	line    []byte     // the line being made
	seq     uint64     // of the last line
	missing uint64     // lines dropped since the last one that was taken
	history *history
}

// NewLogs makes a logger whose lines go to the output given.
func NewLogs(o Options) (*Logs, error) {
	if o.Process != ProcessEnclave && o.Process != ProcessSigner {
		return nil, fmt.Errorf("logs: process %q is neither %q nor %q", o.Process, ProcessEnclave, ProcessSigner)
	}
	if o.Output == nil || o.Registry == nil {
		return nil, errors.New("logs: no output or no registry")
	}
	l := &Logs{
		output:  o.Output,
		level:   zap.NewAtomicLevelAt(o.Level),
		process: o.Process,
		bootID:  rand.Text(),
		history: newHistory(),
	}
	l.exception.configured = o.Level
	l.setTail("")
	l.logger = zap.New(newCore(l), zap.ErrorOutput(faultCounter{l}))
	if err := l.register(o.Registry); err != nil {
		return nil, err
	}
	return l, nil
}

// Logger returns the logger. It may be used before, during and after Run.
func (l *Logs) Logger() *zap.Logger { return l.logger }

// SetEnclaveID names the enclave in every line from now on; 128 bytes of the name are kept.
func (l *Logs) SetEnclaveID(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setTail(id[:min(len(id), maxEnclaveID)])
}

// SetBufferLines changes how many lines may wait for the sink: an enclave logs before it has its configuration. Lines that wait
// already stay. n is at least 1; an output that does not buffer ignores it.
func (l *Logs) SetBufferLines(n int) { l.output.resize(max(n, 1)) }

// Dropped is how many lines were lost inside this process: the buffer was full, the writer failed, or the time to flush ran out.
func (l *Logs) Dropped() uint64 { return l.dropped.Load() }

// Run carries lines away until ctx ends, then flushes what is buffered for at most a second. Its error says how many lines
// were left.
func (l *Logs) Run(ctx context.Context) error { return l.output.run(ctx, l) }

// setTail is called with mu held, or before anybody else knows l.
func (l *Logs) setTail(enclaveID string) {
	tail := append([]byte(`,"process":`), quote(l.process)...)
	tail = append(append(tail, `,"boot_id":`...), quote(l.bootID)...)
	if enclaveID != "" {
		tail = append(append(tail, `,"enclave_id":`...), quote(enclaveID)...)
	}
	l.tail = tail
}

// emit numbers one line and hands it over. The body is a JSON object without its closing brace.
func (l *Logs) emit(body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	line := append(append(l.line[:0], body...), l.tail...)
	if l.missing > 0 {
		line = strconv.AppendUint(append(line, `,"dropped_before":`...), l.missing, 10)
	}
	line = strconv.AppendUint(append(line, `,"seq":`...), l.seq, 10)
	line = append(line, "}\n"...)
	l.line = line
	l.history.add(line)
	if !l.output.put(line) {
		l.missing++
		l.dropped.Add(1)
		return
	}
	l.missing = 0
}

// untold reports whether lines were dropped that no later line tells of.
func (l *Logs) untold() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missing > 0
}

func (l *Logs) register(r prometheus.Registerer) error {
	for _, c := range []struct {
		name, help string
		value      *atomic.Uint64
	}{
		{"containment_enclave_log_events_dropped_total", "Log lines lost inside the process.", &l.dropped},
		{"containment_enclave_log_link_failures_total", "Connections to the log sink that could not be made or broke.", &l.linkFailures},
		{"containment_enclave_log_internal_errors_total", "Log lines that could not be encoded whole.", &l.internal},
	} {
		counter := prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help},
			func() float64 { return float64(c.value.Load()) })
		if err := r.Register(counter); err != nil {
			return fmt.Errorf("register %s: %w", c.name, err)
		}
	}
	return nil
}

// faultCounter takes what zap would print about its own errors: stderr of an enclave goes nowhere, and a line printed there
// elsewhere would stand outside the stream.
type faultCounter struct{ logs *Logs }

func (f faultCounter) Write(b []byte) (int, error) {
	f.logs.internal.Add(1)
	return len(b), nil
}

func (faultCounter) Sync() error { return nil }

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // never: a string always has a JSON form
	}
	return b
}

// maxBody is the longest line without its tail, in bytes.
const maxBody = wire.MaxLogLine - tailReserve
