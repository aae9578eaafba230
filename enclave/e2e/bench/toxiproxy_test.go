package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDelayed(t *testing.T) {
	type call struct {
		Path string
		Body map[string]any
	}
	for _, test := range []struct {
		name          string
		made          int
		text, failure string
		calls         int
	}{
		{"made", http.StatusCreated, `{"name":"delayed","listen":"127.0.0.1:4711"}`, "", 2},
		{"refused", http.StatusConflict, `{"error":"proxy already exists"}`, "proxy already exists", 1},
		{"not JSON", http.StatusCreated, `OK`, "invalid character", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var calls []call
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c := call{Path: r.Method + " " + r.URL.Path}
				if err := json.NewDecoder(r.Body).Decode(&c.Body); err != nil {
					t.Error(err)
				}
				calls = append(calls, c)
				w.WriteHeader(test.made)
				_, _ = io.WriteString(w, test.text)
			}))
			defer s.Close()
			x := &toxiproxy{api: s.URL, client: s.Client()}
			address, err := x.delayed(t.Context(), "127.0.0.1:5432", 5*time.Millisecond)
			expect(t, "proxy", err, test.failure)
			if err == nil && address != "127.0.0.1:4711" {
				t.Errorf("address %q", address)
			}
			want := []call{
				{"POST /proxies", map[string]any{"name": "delayed", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:5432", "enabled": true}},
				{"POST /proxies/delayed/toxics", map[string]any{
					"type": "latency", "stream": "downstream", "attributes": map[string]any{"latency": 5.},
				}},
			}
			if diff := cmp.Diff(want[:test.calls], calls); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoToxiproxy(t *testing.T) {
	t.Chdir(t.TempDir())
	x, err := startToxiproxy(t.Context())
	if _, ok := errors.AsType[missingError](err); !ok || x != nil || !strings.Contains(err.Error(), toxiproxyPath) {
		t.Errorf("%v, error %v; want a missingError that names %s", x, err, toxiproxyPath)
	}
}
