package main

import (
	"encoding/binary"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// yardstick signs in this very process, each time another message, hashed anew: what a signature costs without a signer
// around it.
type yardstick struct {
	keys    []*bls.SecretKey // one for each CPU
	counter atomic.Uint64
}

func newYardstick() (*yardstick, error) {
	y := &yardstick{}
	for i := range runtime.GOMAXPROCS(0) {
		key, err := seedKey(1<<20 + i)
		if err != nil {
			return nil, err
		}
		y.keys = append(y.keys, key)
	}
	return y, nil
}

// saturated is the CPU time of one signature with every CPU busy signing, as under load: two threads that share
// a core are slower than one alone.
func (y *yardstick) saturated(d time.Duration) (time.Duration, error) {
	runtime.GC() // what earlier phases left is not the signatures' fault
	before, err := cpuTime(os.Getpid())
	if err != nil {
		return 0, err
	}
	var done atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	failures := make([]error, len(y.keys))
	for i, key := range y.keys {
		wg.Go(func() {
			for failures[i] == nil && time.Now().Before(end) {
				failures[i] = y.sign(key)
				done.Add(1)
			}
		})
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return 0, err
		}
	}
	after, err := cpuTime(os.Getpid())
	return (after - before) / time.Duration(done.Load()), err
}

// alone is the time of one signature with the other CPUs idle.
func (y *yardstick) alone() (time.Duration, error) {
	began := time.Now()
	err := y.sign(y.keys[0])
	return time.Since(began), err
}

func (y *yardstick) sign(key *bls.SecretKey) error {
	var root [32]byte
	binary.LittleEndian.PutUint64(root[:], y.counter.Add(1))
	_, err := key.Sign(root)
	return err
}
