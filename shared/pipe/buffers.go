package pipe

import (
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// buffer holds what a vsock takes in two calls: it is read with one, which wakes up half as often.
type buffer [2 * vsock.MaxWrite]byte

// maxSpare is how many buffers are kept for later, 8 MiB.
const maxSpare = 8 << 20 / len(buffer{})

// spare are buffers in nobody's hands. They are no sync.Pool, which each garbage collection empties: in a heap of little else than buffers,
// collecting them and making them anew is then much of the work. The last one given back is the next one taken, since it is in the cache.
type spare struct {
	mu   sync.Mutex // held while kept is read or changed
	kept []*buffer
}

//nolint:gochecknoglobals // has no state that anyone can see
var buffers spare

func (s *spare) take() *buffer {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.kept) - 1
	if last < 0 {
		return new(buffer)
	}
	b := s.kept[last]
	s.kept = s.kept[:last]
	return b
}

func (s *spare) put(b *buffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) < maxSpare {
		s.kept = append(s.kept, b)
	}
}
