package chamber_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	keys "github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// TestAKeyThatStillSigns: it is stored as asked, and is an error, since who reads that it is done moves the key elsewhere.
func TestAKeyThatStillSigns(t *testing.T) {
	d := initialized(t, nil)
	one, first := keystore(t, "1")
	two, second := keystore(t, "2")
	d.ok("POST", routes.RouteImport, d.root, importBody([]string{one, two}, password, password), &routes.KeyResults{})
	secret, err := bls.SecretKeyFromSeed([]byte(strings.Repeat("1", 32)))
	if err != nil {
		t.Fatal(err)
	}
	files := keys.New()
	files.Replace(keys.Filesystem, []*keys.Key{keys.NewKey(secret)})
	source, err := stored.New(stored.Options{
		Keys: &d.world.Table, Sealer: d.Chamber, Keystore: files, Closed: chamber.Closed, Readers: 1, Log: zap.NewNop(), Registry: prometheus.NewRegistry(),
		Statuses: []store.Status{store.Active, store.Inactive},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	routes.New(routes.Options{Chamber: d.Chamber, Changer: source, Log: zap.NewNop()}).Register(mux)
	d.Handler = managed(mux)

	for _, test := range []struct{ method, status, first, second string }{
		{"PATCH", "inactive", "stored as inactive, and still signs here: from filesystem", "stored as inactive, and still signs here: status_filter has inactive"},
		{"PATCH", "active", "", ""},
		{"DELETE", "", "stored as deleted, and still signs here: from filesystem", ""},
	} {
		var got routes.KeyResults
		d.ok(test.method, routes.RouteKeys, d.root, changeBody(test.status, first, second), &got)
		for i, want := range []string{test.first, test.second} {
			if k := got.Data[i]; (k.Status == routes.Failed) != (want != "") || !strings.HasSuffix(k.Message, want) {
				t.Errorf("%s %s: key %d: %+v, want %q", test.method, test.status, i, k, want)
			}
		}
	}
	if item, err := d.world.Table.Get(t.Context(), first); err != nil || item.Status != store.Deleted {
		t.Errorf("%+v, %v", item, err)
	}
}

// TestBackupOfJunk: an item that cannot be restored is left out, and named, and the others are restored.
func TestBackupOfJunk(t *testing.T) {
	d := initialized(t, nil)
	one, first := keystore(t, "1")
	d.ok("POST", routes.RouteImport, d.root, importBody([]string{one}, password), &routes.KeyResults{})
	_, junk := keystore(t, "2")
	if err := d.world.Table.Put(t.Context(), store.Key{PublicKey: junk, Version: 1, Status: store.Inactive}); err != nil {
		t.Fatal(err)
	}
	w := d.ask("GET", routes.RouteBackup, d.root, "")
	if lines := d.lines.FilterMessageSnippet("left out of a backup").All(); len(lines) != 1 || !strings.Contains(encode(lines[0].ContextMap()), store.Short(junk)) {
		t.Errorf("%v", lines)
	}
	file, to := w.Body.String(), elsewhere(t, d, nil)
	var done routes.Backup
	to.ok("POST", routes.RouteRestore+"?confirm="+sumOf(file), to.Chamber.SetupToken(), file, &done)
	if diff := cmp.Diff(map[string]int{"state": 1, "keys": 1}, done.Records); diff != "" || !done.Restored {
		t.Errorf("%+v %s", done, diff)
	}
	if item, err := to.world.Table.Get(t.Context(), first); err != nil || item.Version != 1 {
		t.Errorf("%+v, %v", item, err)
	}
}

// TestRestoreOfJunk: the file is at fault, and not the signer.
func TestRestoreOfJunk(t *testing.T) {
	d, file := backedUp(t)
	lines := strings.SplitAfter(strings.TrimSuffix(file, "\n"), "\n")
	for i, line := range lines {
		if strings.Contains(line, `"section":"keys"`) {
			lines[i] = strings.Replace(line, `"version":1,`, `"version":1001,`, 1)
		}
	}
	body := strings.Join(lines[:len(lines)-1], "")
	if strings.Contains(file, body) {
		t.Fatal("nothing was changed")
	}
	var end map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &end); err != nil {
		t.Fatal(err)
	}
	end["sha256"] = sumOf(body)
	file = body + encode(end) + "\n"
	to := elsewhere(t, d, nil)
	to.refused("a version too high", to.ask("POST", routes.RouteRestore+"?confirm="+sumOf(file), to.Chamber.SetupToken(), file), 400, "at most version 1000")
}

// managed has all requests come from an operator.
func managed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.Routes(mux).ServeHTTP(w, api.WithCaller(r, authtest.Management()))
	})
}
