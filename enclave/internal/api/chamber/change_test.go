package chamber_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

func changeBody(status string, keys ...bls.PublicKey) string {
	var texts []string
	for _, key := range keys {
		texts = append(texts, key.String())
	}
	body := map[string]any{"pubkeys": texts}
	if status != "" {
		body["status"] = status
	}
	return encode(body)
}

// TestChangeKeys: each key has its own result, and this replica follows before it answers.
func TestChangeKeys(t *testing.T) {
	d := initialized(t, nil)
	one, first := keystore(t, "1")
	two, second := keystore(t, "2")
	d.ok("POST", routes.RouteImport, d.root, importBody([]string{one, two}, password, password), &routes.KeyResults{})
	if err := d.Stored.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	absent := bls.PublicKey{0x80, 1}
	step := func(method, status string, signing int, want ...string) {
		t.Helper()
		var got routes.KeyResults
		d.ok(method, routes.RouteKeys, d.root, changeBody(status, first, absent), &got)
		if diff := cmp.Diff([]routes.KeyResult{{Status: want[0], Pubkey: first.String()}, {Status: want[1], Pubkey: absent.String()}}, got.Data); diff != "" {
			t.Error(diff)
		}
		if s := d.Stored.Status(); s.Keys != signing {
			t.Errorf("%s %s: %+v, want %d keys", method, status, s, signing)
		}
	}
	step("PATCH", "inactive", 1, "inactive", routes.NotFound)
	step("PATCH", "inactive", 1, "inactive", routes.NotFound)
	step("PATCH", "active", 2, "active", routes.NotFound)
	step("DELETE", "", 1, routes.Deleted, routes.NotFound)
	step("DELETE", "", 1, routes.NotFound, routes.NotFound)
	step("PATCH", "active", 1, routes.NotFound, routes.NotFound)
	if item, err := d.world.Table.Get(t.Context(), second); err != nil || item.Version != 1 {
		t.Errorf("the other key: %+v %v", item, err)
	}
	lines := d.audited()
	deleted := lines[slices.IndexFunc(lines, func(l map[string]any) bool { return l["change"] == routes.Deleted })]
	if diff := cmp.Diff([]any{first.String(), absent.String()}, deleted["pubkeys"]); diff != "" || deleted["done"] != int64(1) || deleted["not_found"] != int64(1) {
		t.Errorf("%v %s", deleted, diff)
	}
}

// TestDamagedKeyAndRotation: a key that nobody can open is named, keeps the old master key, and when it is deleted the rotation ends.
func TestDamagedKeyAndRotation(t *testing.T) {
	d := initialized(t, nil)
	one, first := keystore(t, "1")
	two, second := keystore(t, "2")
	d.ok("POST", routes.RouteImport, d.root, importBody([]string{one, two}, password, password), &routes.KeyResults{})
	item, err := d.world.Table.Get(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	item.Version++
	item.Body = slices.Clone(item.Body)
	item.Body[len(item.Body)-1] ^= 1
	if err := d.world.Table.Put(t.Context(), item); err != nil {
		t.Fatal(err)
	}
	before := d.Chamber.Status().ChamberID
	for range 2 {
		w := d.ask("POST", routes.RouteRotateMaster, d.root, "")
		if w.Code == 200 || !strings.Contains(w.Body.String(), first.Short()) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if s := d.Chamber.Status(); s.State != chamber.AwaitingRotation || s.ChamberID == before {
			t.Fatalf("%+v", s)
		}
	}
	d.ok("DELETE", routes.RouteKeys, d.root, changeBody("", first), &routes.KeyResults{})
	if done := d.post(routes.RouteRotateMaster, ""); done.Status != chamber.Unsealed.String() {
		t.Errorf("%+v", done)
	}
	if err := d.Stored.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := d.Stored.Status(); s.Keys != 1 || s.Unusable != 0 {
		t.Errorf("%+v", s)
	}
	if item, err := d.world.Table.Get(t.Context(), second); err != nil || item.Status != store.Active || item.Version != 2 {
		t.Errorf("the other key: %+v %v", item, err)
	}
}

func TestChangeKeysRefuses(t *testing.T) {
	d := initialized(t, nil)
	key := bls.PublicKey{0x80, 1}
	many := make([]bls.PublicKey, routes.MaxKeys+1)
	for _, test := range []struct{ method, body, words string }{
		{"PATCH", changeBody("deleted", key), `status: "deleted", want active or inactive`},
		{"PATCH", changeBody("", key), "status: is missing"},
		{"PATCH", changeBody("active", key, key), "pubkeys[1]: is given twice"},
		{"DELETE", `{"pubkeys": []}`, "pubkeys: is empty"},
		{"DELETE", `{}`, "pubkeys: is missing"},
		{"DELETE", `{"pubkeys": ["0x12"]}`, "pubkeys[0]: "},
		{"DELETE", changeBody("", many...), "pubkeys: has 501 keys, more than 500"},
	} {
		d.refused(test.method+" "+test.body[:min(40, len(test.body))], d.ask(test.method, routes.RouteKeys, d.root, test.body), 400, test.words)
	}
}
