package connect

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
)

// retryAfter is what a 503 tells the client to wait, in seconds, as the signer's own do.
const retryAfter = "1"

// refuse answers in the form of the signer's errors: validator clients look for the reason in either field.
func refuse(w http.ResponseWriter, code int, reason string) {
	writeJSON(w, code, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Error   string `json:"error"`
	}{code, reason, reason})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // for people who read it in a terminal; it is no page
	if err := encoder.Encode(v); err != nil {
		http.Error(w, http.StatusText(code), code) // no value of this package has no JSON
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	if code == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(code)
	_, _ = w.Write(body.Bytes()) // a client that is gone does not want it
}

// localOnly refuses requests that name another host than this machine. A page of a stranger can have its own name lead to a
// loopback address, and so pass for the same site in a browser; no client of this machine has a reason to.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if ip := net.ParseIP(unbracketed(host)); host == "" || host == "localhost" || ip != nil && ip.IsLoopback() {
			next.ServeHTTP(w, r)
			return
		}
		refuse(w, http.StatusForbidden, "the proxy listens on a loopback address and is called by another name than localhost or a loopback address")
	})
}

// unbracketed is an IPv6 address without a port as package net takes it.
func unbracketed(host string) string {
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}
