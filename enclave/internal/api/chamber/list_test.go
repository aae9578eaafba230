package chamber_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

// TestList: stored keys in ascending order, with what is known of each, as far as the caller may see them.
func TestList(t *testing.T) {
	d := initialized(t, nil)
	var all routes.Listed
	d.ok("GET", routes.RouteKeys, d.root, "", &all)
	if all.Data == nil || len(all.Data) != 0 {
		t.Errorf("of nothing: %#v", all)
	}
	if err := d.Stored.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want []routes.ListedKey
	began := time.Now().Truncate(time.Millisecond)
	for _, seed := range []string{"1", "2", "3"} {
		text, public := keystore(t, seed)
		d.ok("POST", routes.RouteImport, d.root, importBody([]string{text}, password), &routes.KeyResults{})
		want = append(want, routes.ListedKey{Pubkey: public.String(), Status: "active", Usable: true})
	}
	_, second := keystore(t, "2")
	d.ok("PATCH", routes.RouteKeys, d.root, changeBody("inactive", second), &routes.KeyResults{})
	want[1].Status = "inactive"
	_, third := keystore(t, "3")
	item, err := d.world.Table.Get(t.Context(), third)
	if err != nil {
		t.Fatal(err)
	}
	item.Version++
	item.Body = slices.Clone(item.Body)
	item.Body[len(item.Body)-1] ^= 1
	if err := d.world.Table.Put(t.Context(), item); err != nil {
		t.Fatal(err)
	}
	if err := d.Stored.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	want[2].Usable = false
	slices.SortFunc(want, func(a, b routes.ListedKey) int { return strings.Compare(a.Pubkey, b.Pubkey) })
	d.ok("GET", routes.RouteKeys, d.root, "", &all)
	if diff := cmp.Diff(want, all.Data, cmpopts.IgnoreFields(routes.ListedKey{}, "Created", "Updated", "Reason")); diff != "" {
		t.Error(diff)
	}
	for _, k := range all.Data {
		if k.Created.Before(began) || k.Updated.Before(k.Created) || k.Created.Location() != time.UTC || k.Usable != (k.Reason == "") {
			t.Errorf("%+v", k)
		}
	}
	token := d.client(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{auth.ChamberKeysList}, Keys: []string{second.String()}})
	d.ok("GET", routes.RouteKeys, token, "", &all)
	if len(all.Data) != 1 || all.Data[0].Pubkey != second.String() {
		t.Errorf("%+v", all)
	}
	d.refused("parameter", d.ask("GET", routes.RouteKeys+"?x=1", d.root, ""), 400, "there are no parameters")
	d.refused("scope", d.ask("GET", routes.RouteKeys, d.client(auth.Rule{Effect: auth.Allow}), ""), 403, "chamber_keys_list")
}

// TestSealedKeyCalls: none does anything.
func TestSealedKeyCalls(t *testing.T) {
	d := initialized(t, nil)
	d.ok("POST", routes.RouteSeal, d.root, "", &routes.Done{})
	for _, pattern := range []string{
		"GET " + routes.RouteKeys, "POST " + routes.RouteKeys, "PATCH " + routes.RouteKeys, "DELETE " + routes.RouteKeys, "POST " + routes.RouteGenerate,
		"GET " + routes.RouteKeys + "/" + nobody + "/backup",
	} {
		method, route, _ := strings.Cut(pattern, " ")
		d.refused(pattern, d.ask(method, route, d.root, ""), 503, "sealed")
	}
}

// TestBounds: so many requests at once, and so many items of each.
func TestBounds(t *testing.T) {
	d := initialized(t, func(_ *chamber.Options, o *routes.Options) {
		bound := routes.Bound{MaxItems: 1, MaxRequests: 1}
		o.List, o.Generate, o.Import, o.Lifecycle = bound, bound, bound, bound
	})
	_, public := keystore(t, "1")
	_, other := keystore(t, "2")
	for pattern, words := range map[string]string{
		"POST " + routes.RouteImport + " " + importBody([]string{"{}", "{}"}, "", ""): "keystores: has 2 keystores, more than 1",
		"POST " + routes.RouteGenerate + ` {"count":2}`:                               "count: 2, want 1 to 1",
		"DELETE " + routes.RouteKeys + " " + changeBody("", public, other):            "pubkeys: has 2 keys, more than 1",
	} {
		parts := strings.SplitN(pattern, " ", 3)
		d.refused(pattern, d.ask(parts[0], parts[1], d.root, parts[2]), 400, words)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	d.world.OnPut = func() error {
		close(entered)
		<-leave
		return errors.New("never mind")
	}
	done := make(chan int)
	go func() { done <- d.ask("POST", routes.RouteGenerate, d.root, `{"count":1}`).Code }()
	<-entered
	d.refused("one more", d.ask("POST", routes.RouteGenerate, d.root, `{"count":1}`), 503, "1 such requests are under way already")
	d.ok("GET", routes.RouteKeys, d.root, "", &routes.Listed{})
	close(leave)
	if code := <-done; code != 200 {
		t.Error(code)
	}
	d.world.OnPut = nil
	d.ok("POST", routes.RouteGenerate, d.root, `{"count":1}`, &routes.Generated{})
}

// TestChangeAsFarAsAPolicyAllows: a key outside of the policy has an error, and nothing is done with it.
func TestChangeAsFarAsAPolicyAllows(t *testing.T) {
	d := initialized(t, nil)
	one, first := keystore(t, "1")
	two, second := keystore(t, "2")
	d.ok("POST", routes.RouteImport, d.root, importBody([]string{one, two}, password, password), &routes.KeyResults{})
	if err := d.Stored.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for method, scope := range map[string]auth.Scope{"PATCH": auth.ChamberKeysPatch, "DELETE": auth.ChamberKeysDelete} {
		token := d.client(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{scope}, Keys: []string{second.String()}})
		status := map[string]string{"PATCH": "inactive"}[method]
		var got routes.KeyResults
		d.ok(method, routes.RouteKeys, token, changeBody(status, first, second), &got)
		if k := got.Data[0]; k.Status != routes.Failed || !strings.Contains(k.Message, "no policy of") || got.Data[1].Status == routes.Failed {
			t.Errorf("%s: %+v", method, got.Data)
		}
	}
	if item, err := d.world.Table.Get(t.Context(), first); err != nil || item.Version != 1 {
		t.Errorf("%+v %v", item, err)
	}
	if _, signs := d.Keys.SourceOf(first); !signs || d.Keys.Len() != 1 {
		t.Errorf("%d keys", d.Keys.Len())
	}
}
