package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// oneByOne has imports answered by a handler that is told the how-manieth it is, from 1, and never two at once; all else is inner's.
func oneByOne(imports func(n int, w http.ResponseWriter, r *http.Request), inner http.Handler) http.Handler {
	var mu sync.Mutex
	n := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != chamber.RouteImport {
			inner.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		imports(n, w, r)
	})
}

// sentKeystores reads the keystores of an import, which can be read again.
func sentKeystores(t *testing.T, r *http.Request) (body struct{ Keystores, Passwords []string }) {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(text, &body); err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	return body
}

// withoutList is a signer before it had one, or that does not show it to whoever asks.
func withoutList(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == chamber.RouteKeys {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// allKeys are those in the table that are not deleted, in their order.
func (s *chamberSigner) allKeys() (keys []store.Key) {
	s.t.Helper()
	_, err := s.world.Table.Load(context.WithoutCancel(s.t.Context()), []store.Status{store.Active, store.Inactive}, 1, func(k store.Key) error {
		keys = append(keys, k)
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
	slices.SortFunc(keys, func(a, b store.Key) int { return bytes.Compare(a.PublicKey[:], b.PublicKey[:]) })
	return keys
}

// TestOperatorImportResumes: 300 keystores and an interrupt in the middle. What was under way is done and told, and the same command does the
// rest, and sends nothing again to a signer that lists its keys.
func TestOperatorImportResumes(t *testing.T) {
	const keys = 300
	for name, lists := range map[string]bool{"the signer lists its keys": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			s := initializedSigner(t)
			dir, password := writeKeystores(t, keys, "p")
			inner := s.Handler
			if !lists {
				inner = withoutList(inner)
			}
			ctx, interrupt := context.WithCancel(t.Context())
			sent := 0
			s.serve(oneByOne(func(n int, w http.ResponseWriter, r *http.Request) {
				sent += len(sentKeystores(t, r).Keystores)
				if n == 3 {
					interrupt()
				}
				inner.ServeHTTP(w, r)
			}, inner))
			args := []string{
				"operator", "import-keys", dir, "--password-file", password, "--auth-token", "env:ROOT_TOKEN",
				"--signer-url", s.url, "--allow-plaintext-signer", "--output", "json",
			}
			var first, second imported
			var out, errs strings.Builder
			code := run(ctx, args, &out, &errs)
			if err := json.Unmarshal([]byte(out.String()), &first); err != nil || code != exitFailure || !strings.Contains(errs.String(), errInterrupted.Error()) || !strings.Contains(errs.String(), "stopping: ") {
				t.Fatalf("exit code %d, %s %s: %v", code, &out, &errs, err)
			}
			if first.Imported == 0 || first.Imported != s.storedKeys() || first.Imported != sent || first.Left != keys-first.Imported || len(first.Errors) != 0 {
				t.Errorf("%d were sent, %d are stored: imported %d, left %d, %v", sent, s.storedKeys(), first.Imported, first.Left, first.Errors)
			}
			sent = 0
			code, text, said := command(t, args...)
			if err := json.Unmarshal([]byte(text), &second); err != nil || code != exitOK {
				t.Fatalf("exit code %d, %s %s: %v", code, text, said, err)
			}
			want := keys
			if lists {
				want = first.Left
			}
			if second.Imported != first.Left || second.Duplicates != first.Imported || second.Left != 0 || s.storedKeys() != keys || sent != want {
				t.Errorf("%d were sent again, want %d; %d are stored, imported %d, stored before %d", sent, want, s.storedKeys(), second.Imported, second.Duplicates)
			}
			if len(second.Results) != keys || second.Results[0].Pubkey == "" || !slices.IsSortedFunc(second.Results, func(a, b importResult) int { return strings.Compare(a.File, b.File) }) {
				t.Errorf("%d results: %+v", len(second.Results), second.Results[:1])
			}
		})
	}
}

// TestOperatorImportTriesAgain: a connection that breaks after the work, and a signer that has no place, cost nothing but time.
func TestOperatorImportTriesAgain(t *testing.T) {
	const keys = 250
	s := initializedSigner(t)
	dir, password := writeKeystores(t, keys, "p")
	inner, lost := s.Handler, 0
	s.serve(oneByOne(func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 2:
			lost = len(sentKeystores(t, r).Keystores)
			cutAfter(inner).ServeHTTP(w, r)
		case 4, 5:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			inner.ServeHTTP(w, r)
		}
	}, inner))
	code, out, errs := s.operator("import-keys", dir, "--password-file", password, "--output", "json")
	var got imported
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %s %s: %v", code, out, errs, err)
	}
	if got.Imported != keys-lost || got.Duplicates != lost || lost == 0 || s.storedKeys() != keys || !strings.Contains(errs, "it is asked again for 5m0s") {
		t.Errorf("%d were lost: imported %d, stored before %d, %s", lost, got.Imported, got.Duplicates, errs)
	}
}

// TestOperatorImportGivesUp on a signer that stays away, at once on one that was never there, and on what stays as it is.
func TestOperatorImportGivesUp(t *testing.T) {
	s := initializedSigner(t)
	dir, password := writeKeystores(t, 1, "p")
	inner, good := s.Handler, s.url
	for name, test := range map[string]struct {
		answer int // of imports; 0 is none
		list   string
		patience,
		words string
	}{
		"stays away":     {http.StatusServiceUnavailable, "", "300ms", "given up after 300ms: "},
		"breaks":         {0, "", "300ms", "given up after 300ms: no answer of the signer"},
		"refuses":        {http.StatusBadRequest, "", "1h", "(status 400)"},
		"no list":        {http.StatusBadRequest, "<html>", "1h", "the signer's list of keys cannot be read: "},
		"a list of else": {http.StatusBadRequest, `{"data":[{"pubkey":"0x00"}]}`, "1h", "cannot be read: data[0].pubkey: "},
		"no results":     {http.StatusOK, "", "1h", "does not fit the 1 keystores"},
	} {
		s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodGet && test.list == "":
				inner.ServeHTTP(w, r)
			case r.Method == http.MethodGet:
				_, _ = io.WriteString(w, test.list)
			case test.answer == 0:
				panic(http.ErrAbortHandler)
			default:
				w.WriteHeader(test.answer)
			}
		}))
		code, out, errs := s.operator("import-keys", dir, "--password-file", password, "--retry-for", test.patience)
		if code != exitFailure || !strings.Contains(errs, test.words) || !strings.Contains(out, "not tried      1") {
			t.Errorf("%s: exit code %d, %s%s", name, code, out, errs)
		}
	}
	s.url = "http://127.0.0.1:1"
	code, _, errs := s.operator("import-keys", dir, "--password-file", password)
	if code != exitFailure || !strings.Contains(errs, "no answer of the signer") || strings.Contains(errs, "again") {
		t.Errorf("never there: exit code %d, %s", code, errs)
	}
	s.url = good
	s.refuses([]string{"import-keys", dir, "--retry-for", "-1s"}, exitUsage, "--retry-for: want 0 or more")
}
