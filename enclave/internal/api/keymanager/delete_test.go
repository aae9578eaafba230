package keymanager_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

func TestDelete(t *testing.T) {
	d := newDesk(t, nil)
	d.loaded.Replace(keystore.Filesystem, []*keystore.Key{keystore.NewKey(secretKey(4))})
	d.did("POST", importBody(nil, 1, 2), "imported imported")
	for _, n := range []int{1, 4} {
		if err := d.attest(n, 7); err != nil {
			t.Fatal(err)
		}
	}
	// 1 has signed, 2 has not, 3 is unknown, 4 comes from a file, and 1 stands there twice.
	a := d.did("DELETE", deleteBody(1, 2, 3, 4, 1), "deleted deleted not_found error not_active")
	if !strings.Contains(a.Data[3].Message, "read-only") {
		t.Errorf("%+v", a.Data[3])
	}
	if diff := cmp.Diff(map[string]uint64{publicKey(1).String(): 7}, exported(t, a)); diff != "" {
		t.Error(diff)
	}
	if _, err := interchange.Read(strings.NewReader(*a.SlashingProtection), network().ValidatorsRoot); err != nil {
		t.Error(err)
	}
	if p := problem.Of(d.attest(1, 8)); p.Kind != problem.UnknownKey {
		t.Errorf("a deleted key: %v", p)
	}
	if err := d.attest(4, 8); err != nil {
		t.Errorf("a key of a file: %v", err)
	}

	// The same again has the same record.
	a = d.did("DELETE", deleteBody(1, 2), "not_active not_found")
	if diff := cmp.Diff(map[string]uint64{publicKey(1).String(): 7}, exported(t, a)); diff != "" {
		t.Error(diff)
	}
	d.did("DELETE", deleteBody(), "")

	// What is moved away and back is refused what it signed.
	d.did("POST", importBody(map[string]any{"slashing_protection": *a.SlashingProtection}, 1), "imported")
	if p := problem.Of(d.attest(1, 6)); p.Kind != problem.Slashable {
		t.Errorf("below what was signed before: %v", p)
	}
	if err := d.attest(1, 8); err != nil {
		t.Error(err)
	}
}

func TestPolicyOfDeletions(t *testing.T) {
	d := newDesk(t, nil)
	d.did("POST", importBody(nil, 1, 2, 3), "imported imported imported")
	for _, n := range []int{1, 2} {
		if err := d.attest(n, 7); err != nil {
			t.Fatal(err)
		}
	}
	d.caller = authtest.Client(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{auth.DeleteKeys}, Keys: []string{publicKey(1).String()}})
	a := d.did("DELETE", deleteBody(1, 2), "deleted error")
	if diff := cmp.Diff(map[string]uint64{publicKey(1).String(): 7}, exported(t, a)); diff != "" {
		t.Errorf("the record of a key of others is told: %s", diff)
	}
	if err := d.attest(2, 8); err != nil {
		t.Error(err)
	}
	d.refused(d.askAs(authtest.With(auth.ImportKeystores, auth.ListKeys), "DELETE", deleteBody(2)), 403, "delete_keys")
	d.refused(d.askAs(authtest.Anonymous(), "DELETE", deleteBody(2)), 401, "")

	some := authtest.Client(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{auth.ListKeys}, Keys: []string{publicKey(3).String(), publicKey(1).String()}})
	if diff := cmp.Diff([]string{line(3, "", false)}, d.listed(some)); diff != "" {
		t.Error(diff)
	}
	d.refused(d.askAs(authtest.With(auth.ImportKeystores, auth.DeleteKeys), "GET", ""), 403, "list_keys")
	d.refused(d.askAs(authtest.Anonymous(), "GET", ""), 401, "")
}

// unreadable is a ledger that cannot be read while fails is set.
type unreadable struct {
	slashing.Ledger

	fails bool
}

func (u *unreadable) Each(ctx context.Context, f func(slashing.Record) error) error {
	if u.fails {
		return errors.New("the connection broke")
	}
	return u.Ledger.Each(ctx, f)
}

// TestRecordThatCannotBeRead: keys are gone then, and nothing of their record is.
func TestRecordThatCannotBeRead(t *testing.T) {
	ledger := &unreadable{Ledger: openLedger(t)}
	d := newDesk(t, func(s *settings) { s.ledger = ledger })
	d.loaded.Replace(keystore.Filesystem, []*keystore.Key{keystore.NewKey(secretKey(3))})
	d.did("POST", importBody(nil, 1), "imported")
	if err := d.attest(1, 7); err != nil {
		t.Fatal(err)
	}
	ledger.fails = true
	w := d.ask("DELETE", deleteBody(1, 2, 3))
	d.refused(w, 503, "send the same request again")
	var got answer
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.statuses() != "error error error" || got.SlashingProtection != nil ||
		!strings.Contains(got.Data[0].Message, "deleted here") || strings.Contains(got.Data[1].Message, "deleted") || !strings.Contains(got.Data[2].Message, "read-only") {
		t.Errorf("%v: %s", err, w.Body)
	}
	if _, loaded := d.loaded.SourceOf(publicKey(1)); loaded {
		t.Error("the key is loaded")
	}
	ledger.fails = false
	a := d.did("DELETE", deleteBody(1, 2, 3), "not_active not_found error")
	if diff := cmp.Diff(map[string]uint64{publicKey(1).String(): 7}, exported(t, a)); diff != "" {
		t.Error(diff)
	}
}

// TestNothingIsDeletedWithoutAStore: what is in memory alone would be lost, and nobody told of its record.
func TestNothingIsDeletedWithoutAStore(t *testing.T) {
	ledger := storetest.NewMemory()
	d := newDesk(t, func(s *settings) { s.ledger = ledger })
	d.did("POST", importBody(nil, 1), "imported")
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
	d.refused(d.ask("DELETE", deleteBody(1)), 503, "nothing was deleted")
	if _, loaded := d.loaded.SourceOf(publicKey(1)); !loaded {
		t.Error("the key is gone")
	}
	ledger.Reopen()
	d.did("DELETE", deleteBody(1), "deleted")
}

// TestKeyThatComesBack: what an operator loads while it is deleted is not told to be deleted, and its record not to be whole.
func TestKeyThatComesBack(t *testing.T) {
	d, ledger := watchedDesk(t, nil)
	d.did("POST", importBody(nil, 1, 2), "imported imported")
	for _, n := range []int{1, 2} {
		if err := d.attest(n, 7); err != nil {
			t.Fatal(err)
		}
	}
	ledger.reading = func() {
		d.loaded.Replace(keystore.Filesystem, []*keystore.Key{keystore.NewKey(secretKey(1))})
	}
	a := d.did("DELETE", deleteBody(1, 2), "error deleted")
	if diff := cmp.Diff(map[string]uint64{publicKey(2).String(): 7}, exported(t, a)); diff != "" {
		t.Error(diff)
	}
}
