package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

// importsAtOnce is how many requests are under way. A signer works at one import at a time: while it does, the next one is there already, so
// that it never waits for the network. More of them gain nothing, and take places from other operators.
const importsAtOnce = 2

// keyImport sends the keys of keystores to a signer.
type keyImport struct {
	signer    *operatorSigner
	passwords *passwordFlags
	patience  time.Duration
	memory    *filesystem.KDFMemory    // for keystores that are decrypted here; nil decrypts none
	stored    map[bls.PublicKey]string // when the import began, as far as the signer tells; why one does not sign, else ""
	results   *importResults
	size      batchSize
	bar       *importProgress

	met  atomic.Bool // the signer has answered once: only then it is waited for
	away atomic.Bool // that it does not answer was told
}

func newKeyImport(signer *operatorSigner, files []string, passwords *passwordFlags, stderr io.Writer) *keyImport {
	signer.atOnce(importsAtOnce)
	return &keyImport{
		signer: signer, passwords: passwords, results: newImportResults(files), size: batchSize{most: firstBatch, limit: chamber.MaxKeystores},
		bar: newImportProgress(stderr, len(files)),
	}
}

// atOnce allows so many requests at once, before the first. An enclave speaks HTTP/2, which has many on one connection.
func (s *operatorSigner) atOnce(requests int) {
	transport, ok := s.client.Transport.(*signerTransport)
	if !ok {
		return
	}
	if plain, ok := transport.RoundTripper.(*http.Transport); ok {
		plain.MaxConnsPerHost = requests
	}
}

// send reads keystores on all CPUs, and sends them in requests of as many as are ready. It returns why it ended early, if it did: the error of
// a request that failed for good, or that of ctx, with which no more requests begin.
func (k *keyImport) send(ctx context.Context) error {
	defer k.tellInterrupt(ctx)()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ready := make(chan readyKeystore, chamber.MaxKeystores)
	var reading, sending sync.WaitGroup
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		reading.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(k.results.files) && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
				if r, ok := k.prepare(ctx, n); ok {
					ready <- r
				}
			}
		})
	}
	for range importsAtOnce {
		sending.Go(func() {
			for first := range ready {
				if ctx.Err() != nil {
					first.wipe()
				} else if err := k.sendBatch(ctx, k.size.fill(first, ready)); err != nil {
					stop(err)
				}
			}
		})
	}
	reading.Wait()
	close(ready)
	sending.Wait()
	return context.Cause(ctx)
}

// tellInterrupt says what happens when ctx ends, until end is called.
func (k *keyImport) tellInterrupt(ctx context.Context) (end func()) {
	var telling sync.WaitGroup
	ended := make(chan struct{})
	telling.Go(func() {
		select {
		case <-ctx.Done():
			k.bar.note("stopping: requests under way come to their end, unless it is interrupted again")
		case <-ended:
		}
	})
	return func() {
		close(ended)
		telling.Wait()
	}
}

// sendBatch has the signer import keystores, and wipes them.
func (k *keyImport) sendBatch(ctx context.Context, batch []readyKeystore) error {
	defer func() {
		for _, r := range batch {
			r.wipe()
		}
	}()
	var answer []byte
	err := k.patiently(ctx, func(ctx context.Context) (err error) {
		began := time.Now()
		if answer, err = k.post(ctx, batch); err == nil {
			k.size.learn(len(batch), time.Since(began))
		}
		return err
	})
	if half := len(batch) / 2; half > 0 && tooMuch(err) {
		k.size.bound(half)
		if err := k.sendBatch(ctx, batch[:half]); err != nil {
			return err
		}
		return k.sendBatch(ctx, batch[half:])
	}
	if err != nil {
		return err
	}
	var results chamber.KeyResults
	if err := json.Unmarshal(answer, &results); err != nil || len(results.Data) != len(batch) {
		return fmt.Errorf("the signer's answer does not fit the %d keystores that were sent", len(batch))
	}
	failed := 0
	for i, r := range results.Data {
		if r.Status != chamber.Imported && r.Status != chamber.Duplicate {
			failed++
		}
		k.results.set(batch[i].n, r.Status, r.Pubkey, r.Message)
	}
	k.bar.add(len(batch), failed)
	return nil
}

// tooMuch tells whether a signer may take fewer keystores: its configuration bounds a request, and no answer tells the bound but in words.
func tooMuch(err error) bool {
	refused, ok := errors.AsType[*refusalError](err)
	return ok && (refused.status == http.StatusBadRequest || refused.status == http.StatusRequestEntityTooLarge)
}

// post sends a batch once.
func (k *keyImport) post(ctx context.Context, batch []readyKeystore) (answer []byte, err error) {
	body := newImportBody(batch)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.signer.base.JoinPath(chamber.RouteImport).String(), body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = body.size()
	req.Header.Set("Content-Type", "application/json")
	err = k.signer.send(req, func(r io.Reader) (err error) {
		answer, err = io.ReadAll(io.LimitReader(r, maxAnswer))
		return err
	})
	return answer, err
}
