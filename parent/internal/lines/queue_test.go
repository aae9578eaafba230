package lines

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// tap is a stream that takes nothing while it is shut.
type tap struct {
	shut chan struct{} // closed to open it
	got  strings.Builder
	err  error
}

func (s *tap) Write(p []byte) (int, error) {
	<-s.shut
	if s.err != nil {
		return 0, s.err
	}
	return s.got.Write(p)
}

// running runs a queue to a stream; end closes it and waits.
func running(w *tap) (q *Queue, told *[]uint64, end func()) {
	q, told = NewQueue(w), new([]uint64)
	var run sync.WaitGroup
	run.Go(func() {
		q.Run(func(lost uint64) {
			*told = append(*told, lost)
			_, _ = q.Write([]byte("told\n"))
		})
	})
	return q, told, func() { q.Close(); run.Wait() }
}

func TestQueueDoesNotWaitForTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &tap{shut: make(chan struct{})}
		q, told, end := running(out)
		if _, err := q.Write([]byte("first\n")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // Run hangs in the stream
		line := []byte(strings.Repeat("x", maxWaiting/7-1) + "\n")
		for i := range 9 {
			if n, err := q.Write(line); (err == nil) != (i < 7) || err != nil && (n != 0 || !errors.Is(err, ErrNotTaken)) {
				t.Errorf("line %d: %d, %v", i, n, err)
			}
		}
		if q.Lost() != 2 || len(*told) != 0 {
			t.Errorf("lost %d, told %v", q.Lost(), *told)
		}
		close(out.shut)
		synctest.Wait()
		_, _ = q.Write([]byte("last\n"))
		end()
		if want := "first\n" + strings.Repeat(string(line), 7) + "told\nlast\n"; out.got.String() != want {
			t.Errorf("%d bytes were written, want %d", out.got.Len(), len(want))
		}
		if fmt.Sprint(*told) != "[2]" {
			t.Errorf("told %v, want the 2 lost lines once", *told)
		}
		if _, err := q.Write([]byte("late\n")); !errors.Is(err, ErrNotTaken) {
			t.Errorf("Write after Close = %v", err)
		}
	})
}

func TestQueueCountsWhatTheStreamRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &tap{shut: make(chan struct{}), err: errFull}
		q, told, end := running(out)
		_, _ = q.Write([]byte("a\n"))
		synctest.Wait()
		_, _ = q.Write([]byte("b\n"))
		_, _ = q.Write([]byte("c\n"))
		close(out.shut)
		synctest.Wait()
		if q.Lost() != 3 || len(*told) != 0 {
			t.Errorf("lost %d, told %v", q.Lost(), *told)
		}
		out.err = nil
		_, _ = q.Write([]byte("d\n"))
		synctest.Wait()
		end()
		if got := out.got.String(); got != "d\ntold\n" || fmt.Sprint(*told) != "[3]" {
			t.Errorf("written %q, told %v", got, *told)
		}
	})
}
