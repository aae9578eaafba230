// Package secret holds bytes that do not print and are wiped on release.
package secret

import (
	"errors"
	"sync"
)

// ErrWiped is returned for a secret that was wiped, or never filled.
var ErrWiped = errors.New("the secret was wiped")

// Bytes holds a secret. Copies share it. The zero Bytes holds nothing. It is safe for concurrent use.
type Bytes struct {
	Redacted
	// fmt walks into unexported fields, without calling their methods, and follows pointers, but it never calls a
	// function. So the bytes are reachable through a function value alone.
	reveal func() *held
}

type held struct {
	mu sync.RWMutex // held for reading while the bytes are in use: Wipe waits until nobody uses them
	b  []byte       // nil once wiped
}

// New takes b over without copying it; the caller must not touch b again.
func New(b []byte) Bytes {
	h := &held{b: b}
	return Bytes{reveal: func() *held { return h }}
}

// Use calls f with the bytes, which f must neither keep nor change, and returns its error. It returns ErrWiped
// without calling f if there are none. f must not call Wipe.
func (s Bytes) Use(f func(b []byte) error) error {
	if s.reveal == nil {
		return ErrWiped
	}
	h := s.reveal()
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.b == nil {
		return ErrWiped
	}
	return f(h.b)
}

// Wipe overwrites the bytes with zeros, once those who use them are done. It may be called again.
func (s Bytes) Wipe() {
	if s.reveal == nil {
		return
	}
	h := s.reveal()
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.b)
	h.b = nil
}
