package api

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// operatorPrefix is where the requests of operators are that carry or change the record of all keys. What they send and are sent may
// be far too large for memory and too long for the limits of a duty: it goes from and to the connection as it comes, with a limit for
// each piece.
const operatorPrefix = "/api/v1/slashing/"

const (
	maxOperators    = 4         // requests at once
	operatorTimeout = time.Hour // of a request; its context ends then
	operatorPause   = 30 * time.Second
)

func fromOperator(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, operatorPrefix) }

// serveOperator gives a request the connection itself. It holds its place, and its connection counts as being served, from its headers
// to the end of its answer: there are few.
func (l *Limits) serveOperator(w http.ResponseWriter, r *http.Request, h http.Handler, c *conn) {
	if !l.operators.take(1) {
		shed(w)
		return
	}
	defer l.operators.leave(1)
	c.begin()
	defer c.end()
	s := &stream{ResponseWriter: w, control: http.NewResponseController(w)}
	_ = s.control.SetWriteDeadline(time.Now().Add(operatorTimeout)) // HTTP/2 would end the stream with the server's own, before there is an answer
	if r.Body != nil && r.Body != http.NoBody {
		s.body = r.Body
		r.Body = s
	}
	defer s.hurry() // of an answer that is written when the handler has returned
	h.ServeHTTP(s, r)
}

// stream is a request and its answer whose peer has operatorPause for each piece of either.
type stream struct {
	http.ResponseWriter
	control *http.ResponseController
	body    io.ReadCloser
	ended   error // of body
}

// Read implements io.Reader, for the body. After its end there is no deadline: it would end the wait for an answer that takes long.
func (s *stream) Read(b []byte) (n int, err error) {
	if s.ended != nil {
		return 0, s.ended
	}
	_ = s.control.SetReadDeadline(time.Now().Add(operatorPause)) // the server's own holds where it cannot
	n, s.ended = s.body.Read(b)
	return n, s.ended
}

// Close implements io.Closer, for the body.
func (s *stream) Close() error { return s.body.Close() }

// Write implements http.ResponseWriter.
func (s *stream) Write(b []byte) (int, error) {
	s.hurry()
	return s.ResponseWriter.Write(b)
}

func (s *stream) hurry() { _ = s.control.SetWriteDeadline(time.Now().Add(operatorPause)) }

// Unwrap is for http.ResponseController.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }
