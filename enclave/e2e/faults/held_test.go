//go:build linux

package faults

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// held is what both processes hold.
type held struct {
	parentFiles, parentGoroutines, signerFiles, signerGoroutines int
}

func (h held) String() string {
	return fmt.Sprintf("parent %d fds %d goroutines, enclave %d fds %d goroutines", h.parentFiles, h.parentGoroutines, h.signerFiles, h.signerGoroutines)
}

// spare is how much may be in use at one moment and not at another: a scrape, a connection of the store's pool. Every fault concerns, or
// makes, more than that.
const spare = 12

func (h held) within(before held) bool {
	return h.parentFiles <= before.parentFiles+spare && h.signerFiles <= before.signerFiles+spare &&
		h.parentGoroutines <= before.parentGoroutines+2*spare && h.signerGoroutines <= before.signerGoroutines+2*spare
}

func (w *world) holds() held {
	return held{
		files(w.parent), int(w.metric(w.parentURL, "go_goroutines ")),
		files(w.signer), int(w.metric(w.metrics, "go_goroutines ")),
	}
}

// files is how many file descriptors a process has open, -1 if it has ended.
func files(p *rig.Process) int {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	if err != nil {
		return -1
	}
	return len(open)
}

// metric is the sum of the samples whose lines begin so, 0 if there is none or no answer.
func (w *world) metric(url, beginning string) (sum float64) {
	res, err := w.scrapes.Get(url + "/metrics")
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		var value float64
		if strings.HasPrefix(line, beginning) && len(fields) > 1 {
			if _, err := fmt.Sscan(fields[len(fields)-1], &value); err == nil {
				sum += value
			}
		}
	}
	return sum
}

// get returns the status of an answer, or 0.
func (w *world) get(url string) int {
	res, err := w.scrapes.Get(url)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body) // so that the connection is used again
	res.Body.Close()
	return res.StatusCode
}

// ready says whether the parent and the signer both are.
func (w *world) ready() bool {
	return w.get(w.parentURL+"/readyz") == http.StatusOK && w.get(w.health+"/readyz") == http.StatusOK
}
