package lines

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// maxWaiting is how many bytes wait for the stream, 8 MiB: a busy log through a stall of some seconds.
const maxWaiting = 8 << 20

// ErrNotTaken says that a line was dropped, because as much as may wait for the stream waits already, or because the queue is closed.
var ErrNotTaken = errors.New("the output does not take lines")

// Queue hands lines to a stream from one goroutine, the caller of Run. A stream that blocks, as a pipe whose reader has
// stopped, would otherwise hold up whoever logs, and connections with them; here it costs lines, which are counted. It is safe for concurrent use.
type Queue struct {
	w      io.Writer
	filled chan struct{} // holds a token while there may be something for Run to do

	mu      sync.Mutex // held while any of these is read or changed
	waiting []byte     // whole lines
	lost    uint64     // lines, since the process began
	closed  bool
}

// NewQueue returns a queue to w.
func NewQueue(w io.Writer) *Queue { return &Queue{w: w, filled: make(chan struct{}, 1)} }

// Write takes a line, or drops it with [ErrNotTaken]. It never waits for the stream.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting)+len(line) > maxWaiting {
		q.lost++
		return 0, ErrNotTaken
	}
	q.waiting = append(q.waiting, line...)
	q.wake()
	return len(line), nil
}

// Lost is how many lines the stream did not take.
func (q *Queue) Lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

// Run writes until the queue is closed and empty. What was lost is told, with the number of lines, once the stream takes
// lines again and half of the queue is free for the telling.
func (q *Queue) Run(tell func(lost uint64)) {
	var told uint64
	for range q.filled {
		batch, closed := q.take()
		if len(batch) > 0 {
			if _, err := q.w.Write(batch); err != nil {
				q.lose(bytes.Count(batch, []byte("\n")))
			} else if lost := q.untold(told); lost > 0 {
				told += lost
				tell(lost)
			}
		}
		if closed {
			return
		}
	}
}

// Close lets Run end when it has written what waits.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

// wake is called with mu held.
func (q *Queue) wake() {
	select {
	case q.filled <- struct{}{}:
	default: // Run will look anyway
	}
}

// take empties the queue.
func (q *Queue) take() (batch []byte, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch, q.waiting = q.waiting, nil
	return batch, q.closed
}

func (q *Queue) untold(told uint64) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting) > maxWaiting/2 {
		return 0
	}
	return q.lost - told
}

func (q *Queue) lose(lines int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost += uint64(lines)
}
