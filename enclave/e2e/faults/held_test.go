//go:build linux

package faults

import (
	"fmt"
	"io"
	"net/http"
	"strings"
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

// holds asks both processes themselves: nobody else, unless root, may look into a signer.
func (w *world) holds() (h held) {
	w.now.Helper()
	w.await("count of what both processes hold", func() bool {
		const files, goroutines = "process_open_fds ", "go_goroutines "
		h = held{
			int(w.metric(w.parentURL, files)), int(w.metric(w.parentURL, goroutines)),
			int(w.metric(w.metrics, files)), int(w.metric(w.metrics, goroutines)),
		}
		return min(h.parentFiles, h.parentGoroutines, h.signerFiles, h.signerGoroutines) > 0
	})
	return h
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
