package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

const (
	// samplesPerRun is how many answers of a run are verified afterwards.
	samplesPerRun = 8
	// runLimit ends a run that hangs.
	runLimit = 2 * time.Minute
)

// run is a bounded closed loop: each client sends its next request when the last one is answered.
type run struct {
	jobs    []job
	next    atomic.Int64
	began   time.Time
	took    time.Duration
	answers [][]byte        // of the sampled jobs, by place; nil elsewhere
	ends    []time.Duration // when each job was answered, since began
	starts  []time.Duration // when each was sent

	failing sync.Mutex // held while failed or first changes
	failed  int
	first   error // of the requests that were not answered as they should be
}

// drive sends all jobs through the clients and waits for all answers. It fails if any was not a 200 with all its
// signatures, or if one of the sampled signatures does not verify.
func drive(clients []*client, jobs []job) (*run, error) {
	r := &run{
		jobs: jobs, answers: make([][]byte, len(jobs)),
		ends: make([]time.Duration, len(jobs)), starts: make([]time.Duration, len(jobs)),
	}
	for _, c := range clients {
		if err := c.conn.SetDeadline(time.Now().Add(runLimit)); err != nil {
			return nil, err
		}
	}
	var wg sync.WaitGroup
	r.began = time.Now()
	for _, c := range clients {
		wg.Go(func() { r.work(c) })
	}
	wg.Wait()
	r.took = time.Since(r.began)
	return r, r.failure()
}

// failure says what went wrong, if anything did.
func (r *run) failure() error {
	if r.first == nil {
		return nil
	}
	return fmt.Errorf("%d of %d requests failed, the first: %w", r.failed, len(r.jobs), r.first)
}

func (r *run) work(c *client) {
	every := max(1, len(r.jobs)/samplesPerRun)
	for {
		i := int(r.next.Add(1) - 1)
		if i >= len(r.jobs) {
			return
		}
		r.starts[i] = time.Since(r.began)
		status, body, err := c.do(r.jobs[i].request)
		r.ends[i] = time.Since(r.began)
		if err != nil {
			r.fail(err)
			return // the connection is of no use any more
		}
		if err := r.jobs[i].check(status, body); err != nil {
			r.fail(err)
		}
		if i%every == 0 {
			r.answers[i] = bytes.Clone(body)
		}
	}
}

func (r *run) fail(err error) {
	r.failing.Lock()
	defer r.failing.Unlock()
	r.failed++
	if r.first == nil {
		r.first = err
	}
}

// check looks at an answer without taking it apart.
func (j job) check(status int, body []byte) error {
	if status != http.StatusOK {
		return fmt.Errorf("status %d: %s", status, body)
	}
	if n := bytes.Count(body, []byte(`"signature"`)); n != len(j.signers) {
		return fmt.Errorf("%d signatures for %d keys: %.200s", n, len(j.signers), body)
	}
	return nil
}

// verify checks the sampled answers, each signature against the key and the root that were asked for.
func (r *run) verify() error {
	for i, body := range r.answers {
		if body == nil {
			continue
		}
		if err := r.jobs[i].verify(body); err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
	}
	return nil
}

func (j job) verify(body []byte) error {
	type signed struct{ Identifier, Signature string }
	var all []signed
	if body[0] == '{' {
		body = append(append([]byte{'['}, body...), ']')
	}
	if err := json.Unmarshal(body, &all); err != nil || len(all) != len(j.signers) {
		return fmt.Errorf("not an answer for %d keys: %.200s", len(j.signers), body)
	}
	for i, s := range all {
		raw, err := hex.DecodeString(strings.TrimPrefix(s.Signature, "0x"))
		if err != nil || len(raw) != len(bls.Signature{}) {
			return fmt.Errorf("%q is not a signature", s.Signature)
		}
		if s.Identifier != "" && !strings.EqualFold(s.Identifier, j.signers[i].String()) {
			return fmt.Errorf("signature %d of the batch is for %s instead of %s", i, s.Identifier, j.signers[i].Short())
		}
		if (i == 0 || i == len(all)-1) && !bls.Verify(j.signers[i], j.root, bls.Signature(raw)) {
			return fmt.Errorf("the signature does not verify under key %s", j.signers[i].Short())
		}
	}
	return nil
}
