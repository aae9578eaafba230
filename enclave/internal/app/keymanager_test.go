package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
)

// TestServeKeyManager: it is off by default, and refuses at the start what would only fail at a request.
func TestServeKeyManager(t *testing.T) {
	api := config.KeyManagerAPI{Enabled: true, MaxConcurrentReads: 1, MaxConcurrentWrites: 1, RequestTimeout: 30 * time.Second, MaxItems: 1}
	all := []string{"DELETE /eth/v1/keystores", "GET /eth/v1/keystores", "POST /eth/v1/keystores"}
	for name, tc := range map[string]struct {
		change func(*signer)
		routes []string
		words  string
	}{
		"off":                     {func(s *signer) { s.cfg.HTTP.KeyManagerAPI.Enabled = false }, nil, ""},
		"in memory":               {func(*signer) {}, all, ""},
		"persist without a table": {func(s *signer) { s.cfg.HTTP.KeyManagerAPI.Persist = true }, nil, "http.key_manager_api.persist: needs stored keys"},
		"persist":                 {func(s *signer) { s.cfg.HTTP.KeyManagerAPI.Persist, s.stored = true, new(stored.Source) }, all, ""},
		"memory beside a table":   {func(s *signer) { s.stored = new(stored.Source) }, all, ""},
		"replicas that are slower": {func(s *signer) {
			s.cfg.HTTP.KeyManagerAPI.Persist, s.stored = true, new(stored.Source)
			s.cfg.KeySources.DynamoDB.Table, s.cfg.KeySources.DynamoDB.RefreshInterval = "keys", 16*time.Second
		}, nil, "a deletion waits for twice refresh_interval_seconds (16s)"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := newKeys(config.Filesystem{}, zap.NewNop(), prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			s := &signer{cfg: &config.Config{Network: "hoodi"}, keys: keys, log: zap.NewNop()}
			s.cfg.HTTP.KeyManagerAPI = api
			s.cfg.KeySources.Database.RefreshInterval = time.Second
			tc.change(s)
			mux := newRoutes()
			err = s.serveKeyManager(mux)
			if tc.words == "" && err != nil || tc.words != "" && (err == nil || !strings.Contains(err.Error(), tc.words)) {
				t.Errorf("%v, want %q", err, tc.words)
			}
			slices.Sort(mux.patterns)
			if diff := cmp.Diff(tc.routes, mux.patterns); diff != "" {
				t.Error(diff)
			}
		})
	}
}
