package pipe

import "sync"

const (
	// large is the buffer of the first few pipes: the fewer calls for the same bytes, the less each byte costs.
	large = 128 << 10
	// small is the buffer of all others: many large ones would not stay in a processor's cache, which costs more than calls do.
	small = 32 << 10
	// maxLarge is how many large buffers there are.
	maxLarge = 8
	// maxSpare is how many small ones are kept for later, 8 MiB.
	maxSpare = 8 << 20 / small
)

// spare are the buffers of all pipes. They are no sync.Pool, which each garbage collection empties: in a heap of little else than buffers,
// collecting them and making them anew is then much of the work. The last one given back is the next one taken, since it is in the cache.
type spare struct {
	mu    sync.Mutex // held while what follows is read or changed
	out   int        // large buffers in the hands of pipes
	large [][]byte   // in nobody's hands
	small [][]byte   // in nobody's hands
}

//nolint:gochecknoglobals // has no state that anyone can see
var buffers spare

func (s *spare) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out < maxLarge {
		s.out++
		return pop(&s.large, large)
	}
	return pop(&s.small, small)
}

// pop takes the last of the kept buffers, or makes one of size bytes.
func pop(kept *[][]byte, size int) []byte {
	last := len(*kept) - 1
	if last < 0 {
		return make([]byte, size)
	}
	b := (*kept)[last]
	*kept = (*kept)[:last]
	return b
}

func (s *spare) put(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(b) == large:
		s.out--
		s.large = append(s.large, b)
	case len(s.small) < maxSpare:
		s.small = append(s.small, b)
	}
}
