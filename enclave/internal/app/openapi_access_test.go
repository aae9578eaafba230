package app

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/openapi"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

// Scopes of x-scope that are none of package auth.
const (
	scopeNone       = "none"
	scopeManagement = "management"
	scopeSetup      = "setup"
)

// passed stands for every answer but a refusal of the caller: what is asked is wrong as often as not, so that nothing is changed.
const passed = "passed"

// access is what became of a call, by who made it.
type access struct{ Nobody, Without, With, Management, Setup string }

// wanted is what x-scope promises with auth.mode policies: refusals as 401, who nobody knows, and 403.
func wanted(scope string) access {
	switch scope {
	case scopeNone:
		return access{passed, passed, passed, passed, passed}
	case scopeSetup:
		return access{"401", "403", "403", "403", passed}
	case scopeManagement: // which no policy gives
		return access{"401", "403", "403", passed, "401"}
	case string(auth.Sign), string(auth.PublicKeys):
		return access{"401", "403", passed, "403", "403"}
	}
	return access{"401", "403", passed, passed, "403"}
}

// TestEveryCallAsksForItsScope asks everything with every kind of token, and prints what became of it.
func TestEveryCallAsksForItsScope(t *testing.T) {
	d, fresh := startDescribed(t, "CONTAINMENT_AUTH__MODE=policies"), startUninitialized(t)
	tokens := newTokens(d)
	table := map[string]string{}
	d.operations(func(method, pattern, url string, operation map[string]any) {
		scope, _ := operation["x-scope"].(string)
		without, with := tokens.of(t, pattern, scope)
		got := access{
			Nobody: d.verdict(method, url, operation, ""), Without: d.verdict(method, url, operation, without),
			With: d.verdict(method, url, operation, with), Management: d.verdict(method, url, operation, d.root),
			Setup: fresh.verdict(method, strings.NewReplacer(d.main, fresh.main, d.meters, fresh.meters).Replace(url), operation, fresh.root),
		}
		want := wanted(scope)
		switch operation["operationId"] {
		case "chamberUnseal": // the master key is there before the token is looked at
			want.Without, want.With, want.Setup = "401", "401", "401"
		case "operatorStatus": // everybody is told an outline then
			want.Setup = passed
		case "signBatch": // a sealed signer says so, and not what it thinks of each key
			want.Setup = passed
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, scope %s (-described +got):\n%s", pattern, scope, diff)
		}
		table[pattern] = fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s | %s |", pattern, scope, got.Nobody, got.Without, got.With, got.Management, got.Setup)
	})
	rows := []string{
		"| call | x-scope | no token | client token without the scope | client token with it | management token | setup token, before init |",
		"|---|---|---|---|---|---|---|",
	}
	for _, pattern := range slices.SortedFunc(maps.Keys(table), byPath) {
		rows = append(rows, table[pattern])
	}
	t.Log("with auth.mode policies:\n" + strings.Join(rows, "\n"))
}

func byPath(a, b string) int {
	turned := func(pattern string) string {
		method, path, _ := strings.Cut(pattern, " ")
		return path + " " + method
	}
	return strings.Compare(turned(a), turned(b))
}

// TestDutiesAreOpenAndNothingElse: with auth.mode open nobody needs a token for what x-scope calls sign and public_keys, exits and deposits
// left out, and for everything else as before.
func TestDutiesAreOpenAndNothingElse(t *testing.T) {
	d := startDescribed(t)
	duties := 0
	d.operations(func(method, pattern, url string, operation map[string]any) {
		scope, _ := operation["x-scope"].(string)
		want := wanted(scope).Nobody
		if scope == string(auth.Sign) || scope == string(auth.PublicKeys) {
			want = passed
			duties++
		}
		if got := d.verdict(method, url, operation, ""); got != want {
			t.Errorf("%s without a token: %s, want %s", pattern, got, want)
		}
	})
	if duties != 4 {
		t.Errorf("%d duties", duties)
	}
	sign := d.at("paths", "/api/v1/eth2/sign/{identifier}", "post")
	for _, kind := range []string{"voluntary_exit", "deposit"} {
		status, header, body := d.ask(http.MethodPost, d.main+"/api/v1/eth2/sign/"+publicKey, "", exampleOf(t, sign, kind))
		if status != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d %s", kind, status, body)
		}
		d.conforms(sign, status, header, body)
	}
}

// TestTheDescriptionNamesTheScopes that there are, and for each operation one of them with the schemes by which it is asked for.
func TestTheDescriptionNamesTheScopes(t *testing.T) {
	document := decodeYAML(t, openapi.Text())
	var known []any
	for _, s := range auth.Scopes() {
		known = append(known, string(s))
	}
	if diff := cmp.Diff(known, find(t, document, "components", "schemas", "ChamberScope")["enum"]); diff != "" {
		t.Errorf("scopes (-code +described):\n%s", diff)
	}
	used := map[any]bool{}
	for path, item := range find(t, document, "paths") {
		for method, operation := range item.(map[string]any) {
			operation, ok := operation.(map[string]any)
			if !ok || method == "servers" {
				continue
			}
			scope, _ := operation["x-scope"].(string)
			used[scope] = true
			var schemes []string
			security, ok := operation["security"].([]any)
			if !ok {
				security = document["security"].([]any)
			}
			for _, one := range security {
				schemes = append(schemes, slices.Collect(maps.Keys(one.(map[string]any)))...)
				if len(one.(map[string]any)) == 0 {
					schemes = append(schemes, "nothing")
				}
			}
			want := []string{"bearer", "basic", "certificate"}
			switch {
			case scope == scopeNone:
				want = nil
			case scope == scopeManagement || scope == scopeSetup:
				want = want[:2]
			case scope == string(auth.Sign) || scope == string(auth.PublicKeys): // with auth.mode open
				want = append([]string{"nothing"}, want...)
			case !slices.Contains(known, any(scope)):
				t.Errorf("%s %s: x-scope %q is none of %v", method, path, scope, known)
			}
			if diff := cmp.Diff(want, schemes); diff != "" {
				t.Errorf("%s %s, scope %s (-want +described):\n%s", method, path, scope, diff)
			}
		}
	}
	for _, s := range known {
		if !used[s] {
			t.Errorf("no operation has scope %s", s)
		}
	}
}

// verdict asks, with nothing that would be carried out where that may do harm, and holds the answer against the description.
func (d *described) verdict(method, url string, operation map[string]any, token string) string {
	d.t.Helper()
	body := ""
	switch _, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/"); {
	case operation["x-scope"] == string(auth.Sign):
		body = exampleOf(d.t, operation, "aggregation_slot")
	case strings.HasPrefix(path, "api/v1/chamber/") && operation["operationId"] != "chamberUnseal":
		url += "?refused=1" // by every call of the chamber, once it knows the caller
	}
	status, header, text := d.as(token).ask(method, url, "", body)
	if _, ok := operation["responses"].(map[string]any)[fmt.Sprint(status)]; !ok {
		d.t.Errorf("%s: %d %.200s is not described", operation["operationId"], status, text)
		return fmt.Sprint(status)
	}
	d.conforms(operation, status, header, text)
	if asks := len(header.Values("WWW-Authenticate")) == 2; asks != (status == http.StatusUnauthorized) {
		d.t.Errorf("%s: %d with WWW-Authenticate %q", operation["operationId"], status, header.Values("WWW-Authenticate"))
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return fmt.Sprint(status)
	}
	if operation["operationId"] == "signBatch" { // which tells of each key
		var results []struct{ Error struct{ Code int } }
		if err := json.Unmarshal([]byte(text), &results); err == nil && len(results) > 0 && results[0].Error.Code == http.StatusForbidden {
			return "403"
		}
	}
	return passed
}

func exampleOf(t *testing.T, operation map[string]any, name string) string {
	t.Helper()
	return encodeJSON(t, find(t, operation, "requestBody", "content", "application/json", "examples", name)["value"])
}

// tokens makes client tokens, each once.
type tokens struct {
	d    *described
	made map[string]string // by their rule's scopes
}

func newTokens(d *described) *tokens { return &tokens{d, map[string]string{}} }

// of are a token with every scope but this, and one with it alone. What no scope opens is asked with all of them.
func (c *tokens) of(t *testing.T, pattern, scope string) (without, with string) {
	t.Helper()
	all := auth.Scopes()
	rest := slices.DeleteFunc(slices.Clone(all), func(s auth.Scope) bool {
		return string(s) == scope || scope == string(auth.PublicKeys) && s == auth.Sign // who may sign may list
	})
	switch {
	case len(rest) < len(all):
		return c.make("all-but-"+scope, rest), c.make("only-"+scope, []auth.Scope{auth.Scope(scope)})
	case !slices.Contains([]string{scopeNone, scopeManagement, scopeSetup}, scope):
		t.Errorf("%s: x-scope is %q", pattern, scope)
	}
	every := c.make("every-scope", all)
	return every, every
}

func (c *tokens) make(name string, scopes []auth.Scope) string {
	if c.made[name] == "" {
		list, err := json.Marshal(scopes)
		if err != nil {
			c.d.t.Fatal(err)
		}
		c.made[name] = c.d.client(name, fmt.Sprintf(`[{"effect":"allow","scopes":%s}]`, list))
	}
	return c.made[name]
}

// startUninitialized starts a signer whose master key nobody has made; root is its setup token.
func startUninitialized(t *testing.T) *described {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	a := &alone{t: t, dir: t.TempDir(), lines: &lines{}, done: make(chan error, 1), client: &http.Client{Transport: transport}}
	a.write("config.yaml", strings.ReplaceAll(`{network: hoodi, server: {listen_port: 0}, metrics: {listen_address: 127.0.0.1, listen_port: 0}, auth: {mode: policies}, log: {level: debug},
http: {experimental: {batch_sign: true}, key_manager_api: {enabled: true}}, key_sources: {database: {enabled: true}},
anti_slashing: {backend: sqlite, api: true, sqlite: {path: DIR/s.sqlite}}`+
		strings.Replace(startVault(t).configuration(), "chamber: {", "chamber: {keys: {generate: {enabled: true}}, ", 1)+"}", "DIR", a.dir))
	cfg, err := config.Load(config.Sources{Path: filepath.Join(a.dir, "config.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	stores := map[string]OpenStore{"sqlite": func(ctx context.Context, s config.AntiSlashing, _ egress.DialFunc) (slashing.Store, error) {
		return sqlite.Open(ctx, s.SQLite.Path)
	}}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		a.done <- run(ctx, Options{Platform: Platform{Name: "none", Direct: egress.Direct(), Backends: custodyBackends(stores)}, Config: cfg, Stdout: a.lines})
	}()
	t.Cleanup(func() { stop(); a.done <- <-a.done })
	a.until(func() bool {
		for _, l := range a.lines.with("Setup token generated (save securely, one-time use)") {
			a.root = fmt.Sprint(l["setup_token"])
		}
		a.find()
		return a.root != "" && len(a.lines.with("routes of the API")) > 0
	})
	return newDescribed(a)
}
