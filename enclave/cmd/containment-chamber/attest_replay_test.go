package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// handOn answers with a document, whoever made it.
func handOn(document []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", atls.MediaType)
		_, _ = w.Write(document)
	}
}

// TestReplayedDocuments: a genuine document counts for the server whose key it speaks of, and for no other that hands it on.
func TestReplayedDocuments(t *testing.T) {
	e := newEnclave(t)
	stranger := newEnclave(t)
	kms := e.binding()
	kms.Purpose = atls.PurposeKMS
	policy := e.policy("p.yaml")
	plain := httptest.NewServer(handOn(e.document(e.binding(), nil)))
	t.Cleanup(plain.Close)
	for name, test := range map[string]struct {
		address string
		want    string // of the refusal; empty is none
	}{
		"its own":             {e.serve(handOn(e.document(e.binding(), nil))).URL, ""},
		"in clear":            {plain.URL, ""},
		"of another":          {stranger.serve(handOn(e.document(e.binding(), nil))).URL, "refused: the document speaks of another key than the certificate's"},
		"for another purpose": {e.serve(handOn(e.document(kms, nil))).URL, `refused: the document is for purpose "kms"`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "d.cose")
			code, _, errs := command(t, "attest", "fetch", test.address, "--attestation-root", e.rootFile, "--policy", policy, "-o", path)
			_, missing := os.Stat(path)
			if (code == exitOK) != (test.want == "") || !strings.Contains(errs, test.want) || (missing == nil) != (code == exitOK) {
				t.Errorf("fetch: exit code %d, %s, file %v; want %q", code, errs, missing, test.want)
			}
			clear := strings.Contains(errs, saysNothing)
			code, out, errs := command(t, "attest", "policy", "--from-signer", test.address, "--attestation-root", e.rootFile)
			if (code == exitOK) != (test.want == "") || !strings.Contains(errs, test.want) || (out != "") != (code == exitOK) {
				t.Errorf("policy: exit code %d, %q, %s; want %q", code, out, errs, test.want)
			}
			if want := test.address == plain.URL; clear != want || strings.Contains(errs, saysNothing) != want {
				t.Errorf("that http tells nothing of the sender was said: by fetch %v, by policy: %s", clear, errs)
			}
		})
	}
}

// TestFetchedWhileItRotates: a document that is one certificate ahead of its connection is asked for again, once.
func TestFetchedWhileItRotates(t *testing.T) {
	e := newEnclave(t)
	ahead := e.binding()
	ahead.SPKI = [32]byte{1}
	for late, want := range map[int64]int{1: exitOK, 2: exitFailure} {
		var asked atomic.Int64
		s := e.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b := ahead
			if asked.Add(1) > late {
				b = e.binding()
			}
			handOn(e.document(b, nil))(w, r)
		}))
		code, _, errs := command(t, "attest", "fetch", s.URL, "--attestation-root", e.rootFile, "-o", filepath.Join(t.TempDir(), "d"))
		if code != want || asked.Load() != 2 {
			t.Errorf("%d late: exit code %d, asked %d times, %s", late, code, asked.Load(), errs)
		}
	}
}
