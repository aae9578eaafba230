package chamber_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
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
	if err := d.Stored.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got routes.KeyResults
	d.ok("POST", routes.RouteImport, d.root, importBody([]string{one, "not JSON", two, three, one}, password, password, password, "wrong", password), &got)
	for i, words := range []string{"", "not valid JSON", "", "password", "the same key is in this request before"} {
		if k := got.Data[i]; !strings.Contains(k.Message, words) || (words == "") != (k.Message == "") {
			t.Errorf("%d: %+v, want %q", i, k, words)
		}
		got.Data[i].Message = ""
	}
	want := []routes.KeyResult{
		{Status: routes.Imported, Pubkey: first.String()},
		{Status: routes.Failed},
		{Status: routes.Imported, Pubkey: second.String()},
		{Status: routes.Failed},
		{Status: routes.Duplicate, Pubkey: first.String()},
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
	if s := d.Stored.Status(); s.Keys != 2 || s.Unusable != 0 {
		t.Errorf("%+v", s)
	}
	lines := d.audited()
	if last := lines[len(lines)-1]; last["duplicates"] != int64(1) || strings.Contains(encode(lines), password) {
		t.Errorf("%v", lines)
	}
}

// TestImportIntoMemory: with storage.persist false nothing is stored, and the keys sign here alone.
func TestImportIntoMemory(t *testing.T) {
	d := initialized(t, nil)
	one, first := keystore(t, "1")
	body := encode(map[string]any{"keystores": []string{one, "{}"}, "passwords": []string{password, password}, "storage": map[string]any{"persist": false}})
	for _, want := range []string{routes.Imported, routes.Duplicate} {
		var got routes.KeyResults
		d.ok("POST", routes.RouteImport, d.root, body, &got)
		if diff := cmp.Diff(routes.KeyResult{Status: want, Pubkey: first.String()}, got.Data[0]); diff != "" || got.Data[1].Status != routes.Failed {
			t.Errorf("%+v %s", got.Data, diff)
		}
	}
	if source, ok := d.Keys.SourceOf(first); !ok || source.String() != "memory" {
		t.Errorf("%v %t", source, ok)
	}
	if item, err := d.world.Table.Get(t.Context(), first); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("stored: %+v %v", item, err)
	}
	if lines := d.audited(); lines[len(lines)-1]["persist"] != false {
		t.Errorf("%v", lines)
	}
	for _, where := range []string{`{}`, `{"persist":null}`, `{"persist":true,"persist":false}`, `{"persist":false,"where":"here"}`, `false`, `"memory"`} {
		d.refused(where, d.ask("POST", routes.RouteImport, d.root, `{"keystores":["{}"],"passwords":[""],"storage":`+where+`}`), 400, "storage: want an object with persist, true or false")
	}
}

// TestImportAsFarAsAPolicyAllows: a key outside of the policy has an error, and nothing is done with it.
func TestImportAsFarAsAPolicyAllows(t *testing.T) {
	d := initialized(t, nil)
	one, first := keystore(t, "1")
	two, second := keystore(t, "2")
	token := d.client(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{auth.ChamberKeysImport, auth.ChamberKeysList}, Keys: []string{second.String()}})
	for _, persist := range []bool{true, false} {
		var got routes.KeyResults
		d.ok("POST", routes.RouteImport, token, encode(map[string]any{
			"keystores": []string{one, two}, "passwords": []string{password, password}, "storage": map[string]any{"persist": persist},
		}), &got)
		if k := got.Data[0]; k.Status != routes.Failed || k.Pubkey != first.String() || !strings.Contains(k.Message, "no policy of") {
			t.Errorf("%+v", k)
		}
		if k := got.Data[1]; k.Status != routes.Imported {
			t.Errorf("%+v", k)
		}
		if _, err := d.world.Table.Get(t.Context(), first); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if _, ok := d.Keys.SourceOf(first); ok {
			t.Error("the other key is loaded")
		}
	}
}

// TestImportWithoutStoredKeys: there is no such route.
func TestImportWithoutStoredKeys(t *testing.T) {
	d := initialized(t, nil)
	if w := d.ask("PUT", routes.RouteImport, d.root, ""); w.Code != 405 {
		t.Errorf("PUT: %d", w.Code)
	}
	var registered []string
	routes.New(routes.Options{}).Register(recorder(func(pattern string) { registered = append(registered, pattern) }))
	for _, pattern := range registered {
		if strings.Contains(pattern, routes.RouteKeys) {
			t.Error(pattern)
		}
	}
	if len(registered) != len(rooted)-4 { // without six of keys; init and restore are not among those
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
