package pipe

import "testing"

// TestLargeBuffersAreFew: thousands of readers that have stopped hold small ones.
func TestLargeBuffersAreFew(t *testing.T) {
	var s spare
	var held [][]byte
	take := func(size int) {
		t.Helper()
		held = append(held, s.take())
		if got := len(held[len(held)-1]); got != size {
			t.Fatalf("buffer %d has %d bytes, want %d", len(held), got, size)
		}
	}
	for range maxLarge {
		take(large)
	}
	for range maxSpare + 1 {
		take(small)
	}
	s.put(held[0])
	take(large)
	take(small)
	for _, b := range held[1:] {
		s.put(b)
	}
	if s.out != 0 || len(s.large) != maxLarge || len(s.small) != maxSpare {
		t.Errorf("%d large ones are out, %d and %d small ones kept, want 0, %d and %d", s.out, len(s.large), len(s.small), maxLarge, maxSpare)
	}
}

func TestBuffersAreUsedAgain(t *testing.T) {
	var s spare
	first, second := s.take(), s.take()
	s.put(first)
	s.put(second)
	if got := s.take(); &got[0] != &second[0] {
		t.Error("the buffer given back last is not the one taken next")
	}
}
