package api

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// retryAfter is what a 503 tells the caller to wait, in seconds: a duty that waits longer is worth little.
const retryAfter = 1

// refusal is the body of every error. Validator clients look for the reason in either field.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Error   string `json:"error"`
}

// WriteProblem answers with the refusal in err: its kind's status code and its public sentence, nothing of its cause.
func WriteProblem(w http.ResponseWriter, err error) {
	p := problem.Of(err)
	writeRefusal(w, p.Kind.Status(), p.Public)
}

func writeRefusal(w http.ResponseWriter, code int, message string) {
	body, err := json.Marshal(refusal{Code: code, Message: message, Error: message})
	if err != nil { // three plain fields: not with any input
		http.Error(w, http.StatusText(code), code)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	switch code {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	case http.StatusUnauthorized:
		h["Www-Authenticate"] = []string{"Bearer", `Basic realm="containment-chamber"`}
	}
	w.WriteHeader(code)
	_, _ = w.Write(body) // a caller that is gone does not want it
}
