package api

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// operatorPrefix is where the requests of operators are that carry or change the record of all keys. What they send and are sent may
// be far too large for memory and too long for the limits of a duty: it goes from and to the connection as it comes, with a limit for
// each piece.
const operatorPrefix = "/api/v1/slashing/"

// operatorPaths are those to the chamber that are alike, or wait for KMS. What stops every signature (seal, freeze) is not among them: it
// never waits for one of their places.
var operatorPaths = []string{ //nolint:gochecknoglobals // constant; Go has no constant lists
	"/api/v1/chamber/operator/init", "/api/v1/chamber/operator/rotate/kms", "/api/v1/chamber/operator/rotate/master-key",
	"/api/v1/chamber/operator/backup", "/api/v1/chamber/operator/restore",
}

// keysPath is where the requests to stored keys are, and below. They take long too, and each kind has a bound of its own besides
// (chamber.keys in the configuration).
const keysPath = "/api/v1/chamber/keys"

// filePaths are those whose bodies are files; other bodies come within readTimeout.
var filePaths = []string{operatorPrefix + "import", "/api/v1/chamber/operator/restore"} //nolint:gochecknoglobals // as above

// keystoresPath is the Key Manager API's, whose bodies are in memory as those of duties are.
const keystoresPath = "/eth/v1/keystores"

const (
	maxOperators    = 4         // requests at once
	maxKeyRequests  = 256       // the same to stored keys
	operatorTimeout = time.Hour // of a request; its context ends then
	operatorPause   = 30 * time.Second
	importPerMiB    = 4 * time.Second // 2 Mbit/s, beside one operatorPause: slower than this no file holds its place
)

func fromOperator(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, operatorPrefix) || slices.Contains(operatorPaths, r.URL.Path) || toKeys(r)
}

func toKeys(r *http.Request) bool {
	rest, ok := strings.CutPrefix(r.URL.Path, keysPath)
	return ok && (rest == "" || rest[0] == '/')
}

// serveOperator gives a request the connection itself. It holds its place, and its connection counts as being served, from its headers
// to the end of its answer: there are few.
func (l *Limits) serveOperator(w http.ResponseWriter, r *http.Request, h http.Handler, c *conn) {
	p := &l.operators
	if toKeys(r) {
		p = &l.keys
	}
	if !p.take(1) {
		shed(w)
		return
	}
	defer p.leave(1)
	c.begin()
	defer c.end()
	s := &stream{ResponseWriter: w, control: http.NewResponseController(w)}
	_ = s.control.SetWriteDeadline(time.Now().Add(operatorTimeout)) // HTTP/2 would end the stream with the server's own, before there is an answer
	if r.Body != nil && r.Body != http.NoBody {
		s.body, s.file = r.Body, slices.Contains(filePaths, r.URL.Path)
		r.Body = s
	}
	defer s.hurry() // of an answer that is written when the handler has returned
	h.ServeHTTP(s, r)
	if s.file && r.ProtoMajor == 1 && s.status != http.StatusUnauthorized && s.status != http.StatusForbidden { // a place is for who may
		s.linger()
	}
}

// lingerBytes is how much of a file that was refused is taken in and forgotten.
const lingerBytes = 64 << 20

// linger lets a peer that is still sending a file read why it was refused: were the connection closed with its bytes unread, the
// answer could be lost on the way.
func (s *stream) linger() {
	if s.ended != nil || s.control.Flush() != nil {
		return
	}
	s.waited = max(s.waited, operatorPause+importPerMiB*time.Duration(s.came>>20)-readTimeout) // in all, from here on
	forgotten := make([]byte, 64<<10)
	for n, err := 0, error(nil); n < lingerBytes && err == nil; {
		var more int
		more, err = s.Read(forgotten)
		n += more
	}
}

// stream is a request and its answer whose peer has operatorPause for each piece of the answer, and of a body that is a file.
type stream struct {
	http.ResponseWriter
	control *http.ResponseController
	body    io.ReadCloser
	file    bool          // the body is; or it has the server's deadline
	came    int64         // bytes of the body
	waited  time.Duration // for them: what a handler does in between is not the peer's
	ended   error         // of body
	status  int           // of the answer; 0 before it, and of one that says none
}

// WriteHeader implements http.ResponseWriter.
func (s *stream) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Read implements io.Reader, for the body. After its end there is no deadline: it would end the wait for an answer that takes long.
func (s *stream) Read(b []byte) (n int, err error) {
	if s.ended != nil {
		return 0, s.ended
	}
	began := time.Now()
	if s.file {
		left := operatorPause + importPerMiB*time.Duration(s.came>>20) - s.waited
		_ = s.control.SetReadDeadline(began.Add(min(left, operatorPause))) // the server's own holds where it cannot
	}
	n, s.ended = s.body.Read(b)
	s.came += int64(n)
	s.waited += time.Since(began)
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
