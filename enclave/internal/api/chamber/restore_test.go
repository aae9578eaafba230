package chamber_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// backedUp is a chamber with a stored key and a list of frozen ones, and its backup.
func backedUp(t *testing.T) (d *desk, file string) {
	t.Helper()
	d = initialized(t, nil)
	one, _ := keystore(t, "1")
	var imported routes.KeyResults
	d.ok("POST", routes.RouteImport, d.root, importBody([]string{one}, password), &imported)
	d.post(routes.RouteFreeze, `{"pubkeys": ["`+public+`"]}`)
	w := d.ask("GET", routes.RouteBackup, d.root, "")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	return d, w.Body.String()
}

// elsewhere is a signer with empty stores and the same KMS keys.
func elsewhere(t *testing.T, d *desk, with func(*chamber.Options, *routes.Options)) *desk {
	t.Helper()
	return newDesk(t, &chambertest.World{}, func(of *chamber.Options, to *routes.Options) {
		of.KMS = &d.world.KMS
		if with != nil {
			with(of, to)
		}
	})
}

// TestRestore: the first request tells what is in the file, the second loads it, and the chamber goes on there.
func TestRestore(t *testing.T) {
	d, file := backedUp(t)
	to := elsewhere(t, d, nil)
	setup := to.Chamber.SetupToken()
	var found, done routes.Backup
	to.ok("POST", routes.RouteRestore, setup, file, &found)
	now := d.Chamber.Status()
	want := routes.Backup{SHA256: sumOf(file), ChamberID: now.ChamberID, Version: now.Version, Created: found.Created, Records: map[string]int{"state": 2, "keys": 1}}
	if diff := cmp.Diff(want, found); diff != "" || to.Chamber.Status().State != chamber.Uninitialized {
		t.Error(diff, to.Chamber.Status().State)
	}
	to.ok("POST", routes.RouteRestore+"?confirm="+found.SHA256, setup, file, &done)
	if !done.Restored || done.Chamber == nil || done.Chamber.Status != "unsealed" || done.Chamber.FrozenKeys != 1 || done.Chamber.ChamberID != now.ChamberID {
		t.Errorf("%+v %+v", done, done.Chamber)
	}
	to.root = d.root
	to.post(routes.RouteUnfreeze, "")
	one, _ := keystore(t, "1")
	var imported routes.KeyResults
	to.ok("POST", routes.RouteImport, to.root, importBody([]string{one}, password), &imported)
	if imported.Data[0].Status != routes.Duplicate {
		t.Errorf("the stored key: %+v", imported.Data)
	}
	to.refused("again", to.ask("POST", routes.RouteRestore+"?confirm="+found.SHA256, setup, file), 401, "it was used to initialize the chamber")
}

// TestRestoreWithoutKMS: the state is there, sealed, and the answer says so.
func TestRestoreWithoutKMS(t *testing.T) {
	d, file := backedUp(t)
	to := elsewhere(t, d, nil)
	d.world.KMS.Deny(chambertest.ARNs(1, 2, 3)...)
	var done routes.Backup
	to.ok("POST", routes.RouteRestore+"?confirm="+sumOf(file), to.Chamber.SetupToken(), file, &done)
	if !done.Restored || done.Chamber == nil || done.Chamber.Status != "sealed" || !strings.Contains(done.Chamber.Reason, "0 of 3 shares could be opened") {
		t.Errorf("%+v %+v", done, done.Chamber)
	}
}

func TestRestoreRefuses(t *testing.T) {
	d, file := backedUp(t)
	other, _, _ := strings.Cut(file, "\n")
	for name, test := range map[string]struct {
		query, file string
		with        func(*chamber.Options, *routes.Options)
		code        int
		want        string
	}{
		"another file":      {"?confirm=" + strings.Repeat("0", 64), file, nil, 400, "confirm: the SHA-256 of this file is " + sumOf(file)},
		"a short hash":      {"?confirm=00", file, nil, 400, "confirm: want the SHA-256"},
		"confirmed twice":   {"?confirm=" + sumOf(file) + "&confirm=" + sumOf(file), file, nil, 400, "confirm: is given twice"},
		"another parameter": {"?force=1", file, nil, 400, `unknown parameter "force"`},
		"no parameter":      {"?%zz", file, nil, 400, "cannot be read"},
		"nothing":           {"", "", nil, 400, "the backup ends before its end"},
		"no backup":         {"", "{}\n", nil, 400, "not a backup of a chamber"},
		"its head":          {"", other + "\n", nil, 400, "the backup ends before its end"},
		"cut":               {"", file[:len(file)-10], nil, 400, "damaged"},
		"changed":           {"", strings.Replace(file, `"section":"keys"`, `"section":"kezs"`, 1), nil, 400, `section "kezs" is not known`},
		"too large":         {"", file + strings.Repeat(" ", 64<<10), func(_ *chamber.Options, o *routes.Options) { o.MaxBackup = 64 << 10 }, 413, "the backup is larger than"},
		"a newer release":   {"", strings.Replace(file, `"format":1`, `"format":9`, 1), nil, 400, "newer release"},
		"another chamber": {
			"?confirm=" + sumOf(file), file, func(o *chamber.Options, _ *routes.Options) { o.PinnedID = strings.Repeat("0", 32) }, 403, "and `chamber.id` is",
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := elsewhere(t, d, test.with)
			to.refused(name, to.ask("POST", routes.RouteRestore+test.query, to.Chamber.SetupToken(), test.file), test.code, test.want)
			if items, err := to.world.State.List(t.Context()); err != nil || len(items) > 0 {
				t.Errorf("something was written: %v %v", items, err)
			}
		})
	}
}

// TestABackupThatFailsIsNotWhole: its connection is broken, or it is an error from the start.
func TestABackupThatFailsIsNotWhole(t *testing.T) {
	d := initialized(t, nil)
	r := httptest.NewRequestWithContext(t.Context(), "GET", routes.RouteBackup, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+d.root)
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // it is this very one
			t.Errorf("%v", p)
		}
	}()
	d.Handler.ServeHTTP(brokenWriter{httptest.NewRecorder()}, r)
}

// brokenWriter takes nothing.
type brokenWriter struct{ *httptest.ResponseRecorder }

func (brokenWriter) Write([]byte) (int, error) { return 0, http.ErrHandlerTimeout }
