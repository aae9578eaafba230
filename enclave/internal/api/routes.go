package api

import (
	"fmt"
	"net/http"
)

// Routes serves mux, and answers what it has no route for, or not with that method, in the form of every other error.
func Routes(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r) // and not h, which would not see the pattern's values
			return
		}
		answer := refused{header: w.Header(), code: http.StatusOK}
		h.ServeHTTP(&answer, r)
		switch answer.code {
		case http.StatusNotFound:
			writeRefusal(w, answer.code, fmt.Sprintf("no such path: %.100q", r.URL.Path))
		case http.StatusMethodNotAllowed:
			writeRefusal(w, answer.code, fmt.Sprintf("method %.20q is not allowed here, but %s", r.Method, w.Header().Get("Allow")))
		default:
			writeRefusal(w, answer.code, http.StatusText(answer.code))
		}
	})
}

// refused takes the status and the headers of the mux's own answer, and drops its text.
type refused struct {
	header http.Header
	code   int
}

func (r *refused) Header() http.Header         { return r.header }
func (r *refused) WriteHeader(code int)        { r.code = code }
func (r *refused) Write(b []byte) (int, error) { return len(b), nil }
