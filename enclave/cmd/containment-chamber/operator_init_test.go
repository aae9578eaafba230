package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

// answerInstead has a request carried out, and answers something else, as a proxy does that waits no longer.
func answerInstead(h http.Handler, code int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&deaf{http.Header{}}, r)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	})
}

// TestOperatorInitWithoutAnAnswer: the root token of a chamber that is initialized is not lost, whatever came in place of the answer.
func TestOperatorInitWithoutAnAnswer(t *testing.T) {
	instead := func(code int, body string) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler { return answerInstead(h, code, body) }
	}
	for name, between := range map[string]func(http.Handler) http.Handler{
		"no answer":          cutAfter,
		"307":                instead(http.StatusTemporaryRedirect, ""),
		"408":                instead(http.StatusRequestTimeout, ""),
		"500":                instead(http.StatusInternalServerError, ""),
		"502":                instead(http.StatusBadGateway, "<html>"),
		"503 of a signer":    instead(http.StatusServiceUnavailable, `{"code":503,"message":"it is not known whether it was written"}`),
		"504":                instead(http.StatusGatewayTimeout, ""),
		"204":                instead(http.StatusNoContent, ""),
		"200, and not JSON":  instead(http.StatusOK, "<html>"),
		"200, and cut short": instead(http.StatusOK, `{"status":"unsealed","root_`),
	} {
		s := startChamberSigner(t, nil)
		s.serve(between(s.Handler))
		code, _, errs := s.operator("init", "--kms-key-arns", chambertest.ARN(1), "--kms-threshold", "1")
		_, token, found := strings.Cut(errs, "its root token is\n")
		token, _, _ = strings.Cut(token, "\n")
		if code != exitFailure || !found {
			t.Errorf("%s: exit code %d, %s", name, code, errs)
			continue
		}
		if _, err := s.Chamber.CheckRootToken(token); err != nil {
			t.Errorf("%s: %q: %v", name, token, err)
		}
	}
}

// TestOperatorInitRefused: a token that is good for nothing is not shown.
func TestOperatorInitRefused(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 409, 413} {
		s := startChamberSigner(t, nil)
		s.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		code, out, errs := s.operator("init", "--kms-key-arns", chambertest.ARN(1), "--kms-threshold", "1")
		if code != exitFailure || strings.Contains(out+errs, chamber.RootTokenPrefix) {
			t.Errorf("%d: exit code %d, %s%s", status, code, out, errs)
		}
	}
}
