package chamber_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

const password = "correct horse"

// keystore is a keystore of a key that a seed makes, and its public key.
func keystore(t *testing.T, seed string) (text string, public bls.PublicKey) {
	t.Helper()
	key, err := bls.SecretKeyFromSeed([]byte(strings.Repeat(seed, 32)))
	if err != nil {
		t.Fatal(err)
	}
	defer key.Wipe()
	var crypto map[string]any
	if err := key.Use(func(b []byte) (err error) {
		crypto, err = keystorev4.New(keystorev4.WithCipher("pbkdf2"), keystorev4.WithCost(t, 4)).Encrypt(b, password)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return encode(map[string]any{
		"crypto": crypto, "pubkey": key.PublicKey().String()[2:], "path": "", "uuid": "1d85ae20-35c5-4611-98e8-aa14a633906f", "version": 4,
	}), key.PublicKey()
}

func importBody(keystores []string, passwords ...string) string {
	return encode(map[string]any{"keystores": keystores, "passwords": passwords})
}

// TestImport: each keystore has its own result, and what is stored opens under the master key.
func TestImport(t *testing.T) {
	d := initialized(t, nil)
	one, first := keystore(t, "1")
	two, second := keystore(t, "2")
	three, _ := keystore(t, "3")
	var got routes.KeyResults
	d.ok("POST", routes.RouteImport, d.root, importBody([]string{one, "not JSON", two, three, one}, password, password, password, "wrong", password), &got)
	for i, k := range got.Data {
		if (k.Status == routes.Failed) != (k.Message != "") {
			t.Errorf("%d: %+v", i, k)
		}
		got.Data[i].Message = ""
	}
	done := []string{got.Data[0].Status, got.Data[4].Status}
	if (done[0] == routes.Imported) == (done[1] == routes.Imported) {
		t.Errorf("a key that is there twice is imported once: %v", done)
	}
	want := []routes.KeyResult{
		{Status: done[0], Pubkey: first.String()},
		{Status: routes.Failed},
		{Status: routes.Imported, Pubkey: second.String()},
		{Status: routes.Failed},
		{Status: done[1], Pubkey: first.String()},
	}
	if diff := cmp.Diff(want, got.Data); diff != "" {
		t.Error(diff)
	}
	d.ok("POST", routes.RouteImport, d.root, importBody([]string{two}, password), &got)
	if got.Data[0].Status != routes.Duplicate {
		t.Errorf("again: %+v", got.Data)
	}
	for _, public := range []bls.PublicKey{first, second} {
		item, err := d.world.Table.Get(t.Context(), public)
		if err != nil || item.Status != store.Active || item.Version != 1 {
			t.Errorf("%s: %+v %v", public.Short(), item, err)
		}
	}
	if err := d.Stored.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := d.Stored.Status(); s.Keys != 2 || s.Unusable != 0 {
		t.Errorf("%+v", s)
	}
	lines := d.audited()
	if last := lines[len(lines)-1]; last["duplicates"] != int64(1) || strings.Contains(encode(lines), password) {
		t.Errorf("%v", lines)
	}
}

// TestImportWithoutStoredKeys: there is no such route.
func TestImportWithoutStoredKeys(t *testing.T) {
	d := initialized(t, nil)
	if w := d.ask("GET", routes.RouteImport, d.root, ""); w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
	var registered []string
	routes.New(routes.Options{}).Register(recorder(func(pattern string) { registered = append(registered, pattern) }))
	for _, pattern := range registered {
		if strings.Contains(pattern, routes.RouteKeys) {
			t.Error(pattern)
		}
	}
	if len(registered) != len(rooted)-1 {
		t.Errorf("%d routes: %v", len(registered), registered)
	}
}

// TestNoRefusalRepeatsAPassword, wherever it stands but in the place of a field's name.
func TestNoRefusalRepeatsAPassword(t *testing.T) {
	d := initialized(t, nil)
	for _, body := range []string{
		`{"keystores":["{}"],"passwords":"secret-password"}`, `{"keystores":["secret-password"],"passwords":["secret-password"]}`,
		`{"keystores":["{}"],"passwords":["secret-password",1]}`, `{"keystores":[],"passwords":["secret-password"]}`, `["secret-password"]`, `"secret-password`,
	} {
		if w := d.ask("POST", routes.RouteImport, d.root, body); strings.Contains(w.Body.String(), "secret-password") {
			t.Errorf("%s: %s", body, w.Body)
		}
	}
	if text := encode(d.audited()); strings.Contains(text, "secret-password") {
		t.Error(text)
	}
}

// FuzzBody: whatever a body is, nothing panics, and it is refused or answered without a change of the chamber.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"keystores":["{}"],"passwords":["secret-password"]}`, `{"keystores":[""],"passwords":["secret-password",1]}`,
		`{"keystores":null,"passwords":{"secret-password":1}}`, `{"a":{"b":[`, `{"passwords":["secret-password"],"passwords":[]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		d := initialized(t, nil)
		version := d.Chamber.Status().Version
		w := d.ask("POST", routes.RouteImport, d.root, body)
		if w.Code != 200 && w.Code != 400 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s", w.Body)
		}
		if d.Chamber.Status().Version != version || d.Chamber.Status().State != chamber.Unsealed {
			t.Error("the chamber has changed")
		}
	})
}
