package api

import (
	"net/http"
	"time"
)

// answer is an http.ResponseWriter that knows when its body begins: from then on its request waits for its peer, who may not
// read, and has answerTimeout to do so.
type answer struct {
	http.ResponseWriter
	conn   *conn
	places *places // of which the request holds one until then; nil if it keeps it
	begun  bool
}

func (a *answer) begin() {
	if a.begun {
		return
	}
	a.begun = true
	a.conn.end()
	if a.places != nil {
		a.places.leave(1)
	}
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTimeout)) // the server's own holds where it cannot
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (a *answer) Flush() {
	a.begin()
	_ = http.NewResponseController(a.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
