package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	firstBatch = 8 // keystores, of the first request
	// A request that takes shorter is followed by larger ones, one that takes longer by smaller ones: what is lost with a connection is little
	// then, progress shows, and nobody between takes the connection for dead.
	shortRequest = 4 * time.Second
	longRequest  = 16 * time.Second
)

// batchSize is how many keystores go into a request. It is safe for concurrent use.
type batchSize struct {
	mu          sync.Mutex // held while the fields below are used
	most, limit int        // most is at most limit, which is what the signer takes as far as it is known
}

// fill takes what is ready, and does not wait for more.
func (b *batchSize) fill(first readyKeystore, ready <-chan readyKeystore) []readyKeystore {
	b.mu.Lock()
	most := b.most
	b.mu.Unlock()
	batch := []readyKeystore{first}
	for len(batch) < most {
		select {
		case r, ok := <-ready:
			if !ok {
				return batch
			}
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// learn adapts the size to how long a request took.
func (b *batchSize) learn(sent int, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case took > longRequest:
		b.most = max(1, min(b.most, sent/2))
	case took < shortRequest && sent == b.most:
		b.most = min(2*b.most, b.limit)
	}
}

// bound says that the signer does not take more than so many.
func (b *batchSize) bound(limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = min(b.limit, limit)
	b.most = min(b.most, b.limit)
}

// importBody is the body of a request. It wipes itself when it is closed, which a transport does when it is done with it, maybe after the
// answer and beside a Read.
type importBody struct {
	mu   sync.Mutex // held while the fields below are used
	text []byte
	sent int
}

func newImportBody(batch []readyKeystore) *importBody {
	size := len(`{"keystores":[],"passwords":[]}`)
	for _, r := range batch {
		size += longestQuoted * (len(r.text) + len(r.password) + 1)
	}
	text := make([]byte, 0, size) // never grows, which would leave a copy
	text = append(text, `{"keystores":[`...)
	for i, r := range batch {
		text = appendQuoted(text, i, r.text)
	}
	text = append(text, `],"passwords":[`...)
	for i, r := range batch {
		text = appendQuoted(text, i, r.password)
	}
	return &importBody{text: append(text, "]}"...)}
}

// longestQuoted is the most bytes that one byte becomes in JSON.
const longestQuoted = len(`\u0000`)

// appendQuoted appends the i-th string of a list in JSON. The text is UTF-8.
func appendQuoted(to []byte, i int, text []byte) []byte {
	if i > 0 {
		to = append(to, ',')
	}
	to = append(to, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c < ' ':
			to = fmt.Appendf(to, `\u%04x`, c)
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}

func (b *importBody) size() int64 { return int64(len(b.text)) }

// Read implements io.Reader.
func (b *importBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sent == len(b.text) {
		return 0, io.EOF
	}
	n := copy(p, b.text[b.sent:])
	b.sent += n
	return n, nil
}

// Close implements io.Closer. What was not read is not there any more: a request that ends early fails.
func (b *importBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.text)
	b.text, b.sent = nil, 0
	return nil
}
