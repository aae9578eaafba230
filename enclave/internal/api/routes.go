package api

import (
	"fmt"
	"net/http"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// Routes serves mux, and answers what it has no route for, or not with that method, in the form of every other error. It refuses what
// the page of another site has a browser send, unless that only reads: such a request needs no consent of the browser's user, who may
// be an operator with a way here. What is no browser sends neither Origin nor Sec-Fetch-Site, and passes.
func Routes(mux *http.ServeMux) http.Handler {
	browsers := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := browsers.Check(r); err != nil {
			WriteProblem(w, problem.Wrap(problem.Forbidden, err, "the request comes from the page of another site in a browser"))
			return
		}
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
