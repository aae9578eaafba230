package admin_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

// clientOf is a client of a server that answers everything with h.
func clientOf(t *testing.T, h http.HandlerFunc) *admin.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL + "/below")
	if err != nil {
		t.Fatal(err)
	}
	return admin.NewClient(base, server.Client())
}

func text(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// TestClientTellsWhatTheSignerSays, and what an answer is that no signer gives.
func TestClientTellsWhatTheSignerSays(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a refusal":       {text(503, `{"code": 503, "message": "starting: stage keys is not done", "error": "starting"}`), "starting: stage keys is not done (status 503)"},
		"no such route":   {text(404, `{"code": 404, "message": "no such path"}`), "the signer does not serve these routes; anti_slashing.api of its configuration turns them on"},
		"no signer":       {text(502, "<html>"), "it answers 502 Bad Gateway, not as a signer does (status 502)"},
		"another place":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusTemporaryRedirect) }, "it answers 307 Temporary Redirect, not as a signer does"},
		"half an answer":  {text(200, `{"keys": [`), "the signer's answer: it ends in the middle"},
		"no answer":       {text(200, ``), "the signer's answer: it ends in the middle"},
		"not JSON":        {text(200, `<html>`), "the signer's answer: invalid character '<'"},
		"a broken answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "no answer of the signer: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			c := clientOf(t, test.answer)
			if _, err := c.Status(t.Context()); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	c := clientOf(t, text(404, ""))
	if _, err := c.HighWatermarks(t.Context()); !errors.Is(err, admin.ErrNotServed) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ended); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("after the end: %v", err)
	}
}

// TestClientSeesThatAnExportIsNotWhole: the connection ends before the body does.
func TestClientSeesThatAnExportIsNotWhole(t *testing.T) {
	c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<16))
		panic(http.ErrAbortHandler)
	})
	var out bytes.Buffer
	if _, err := c.Export(t.Context(), &out); err == nil || err.Error() != "the signer's answer: it ends in the middle" {
		t.Errorf("%v after %d bytes", err, out.Len())
	}
}

// TestClientReadsReports as they come, and says that what was asked for is done if one does not come whole.
func TestClientReadsReports(t *testing.T) {
	const one = `{"pubkey": "0x01", "result": "new", "after": {"block": {"slot": "7"}}}`
	for name, test := range map[string]struct {
		answer string
		told   int
		want   string
	}{
		"whole":         {`{"keys": [` + one + `,` + one + `], "summary": {"new": 2}}`, 2, ""},
		"empty":         {`{"keys": [], "summary": {}}`, 0, ""},
		"cut":           {`{"keys": [` + one + `,`, 1, "the signer's answer: it was done, but the report is not whole: it ends in the middle"},
		"without end":   {`{"keys": [` + one + `], "summary": {}`, 1, "the signer's answer: it was done, but the report is not whole: it ends in the middle"},
		"another thing": {`{"data": []}`, 0, "the signer's answer: it was done, but the report is not whole: it is not a report: data where keys is due"},
		"a number":      {`{"keys": [{"after": {"block": {"slot": 7}}}]}`, 0, "the signer's answer: it was done, but the report is not whole: json: "},
	} {
		t.Run(name, func(t *testing.T) {
			c, told := clientOf(t, text(200, test.answer)), 0
			s, err := c.Init(t.Context(), []bls.PublicKey{{1}}, false, func(change admin.Change) error {
				told++
				if change.String() != "new        0x01  no attestation, slot 7 (root unknown)" {
					t.Error(change)
				}
				return nil
			})
			if told != test.told || (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("told %d, %+v, %v", told, s, err)
			}
			if _, err := c.Init(t.Context(), nil, true, func(admin.Change) error { return nil }); err != nil && strings.Contains(err.Error(), "it was done") {
				t.Errorf("of a dry run: %v", err)
			}
		})
	}
}
