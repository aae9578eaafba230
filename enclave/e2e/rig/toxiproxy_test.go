package rig

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProxy says what the API is told.
func TestProxy(t *testing.T) {
	type call struct {
		Path string
		Body map[string]any
	}
	made := call{"POST /proxies", map[string]any{"name": "store", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:5432", "enabled": true}}
	for _, test := range []struct {
		name          string
		status        int
		text, failure string
		calls         []call
	}{
		{"made", http.StatusCreated, `{"name":"store","listen":"127.0.0.1:4711"}`, "", []call{
			made,
			{"POST /proxies/store/toxics", map[string]any{"type": "latency", "stream": "downstream", "attributes": map[string]any{"latency": 5.}}},
			{"POST /proxies/store", map[string]any{"enabled": false}},
			{"POST /reset", nil},
		}},
		{"refused", http.StatusConflict, `{"error":"proxy already exists"}`, "POST /proxies: 409 Conflict {\"error\":\"proxy already exists\"}", []call{made}},
		{"not JSON", http.StatusCreated, `OK`, "invalid character", []call{made}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var calls []call
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c := call{Path: r.Method + " " + r.URL.Path}
				if err := json.NewDecoder(r.Body).Decode(&c.Body); err != nil && !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				calls = append(calls, c)
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.text)
			}))
			defer s.Close()
			err := spoil(t, &Toxiproxy{api: s.URL, client: s.Client()})
			if (err == nil) != (test.failure == "") || err != nil && !strings.Contains(err.Error(), test.failure) {
				t.Errorf("error %v, want %q", err, test.failure)
			}
			if diff := cmp.Diff(test.calls, calls); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// spoil makes every call once.
func spoil(t *testing.T, x *Toxiproxy) error {
	t.Helper()
	p, err := x.Proxy(t.Context(), "store", "127.0.0.1:5432")
	if err != nil {
		return err
	}
	if p.Address != "127.0.0.1:4711" {
		t.Errorf("address %q", p.Address)
	}
	return errors.Join(
		p.Poison(t.Context(), Toxic{Type: "latency", Stream: "downstream", Attributes: map[string]int{"latency": 5}}), p.Down(t.Context()), x.Heal(t.Context()),
	)
}

func TestNoToxiproxy(t *testing.T) {
	x, err := StartToxiproxy(t.Context(), t.TempDir())
	if !errors.Is(err, ErrNoToxiproxy) || x != nil || !strings.Contains(err.Error(), toxiproxyPath) {
		t.Errorf("%v, error %v; want one that names %s", x, err, toxiproxyPath)
	}
}
