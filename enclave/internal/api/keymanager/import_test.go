package keymanager_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

func TestImportedKeysSignAndAreListed(t *testing.T) {
	d := newDesk(t, nil)
	d.loaded.Replace(keystore.Filesystem, []*keystore.Key{keystore.NewKey(secretKey(1))})
	with := strings.Replace(keystoreOf(3), `"path": ""`, `"path": "m/12381/3600/3/0/0"`, 1)
	body := encode(map[string]any{"keystores": []string{keystoreOf(2), with, keystoreOf(1)}, "passwords": []string{password, password, password}})
	a := d.did("POST", body, "imported imported duplicate")
	if a.Data[2].Message != "the key is loaded already" || a.Data[0].Message != "" {
		t.Errorf("%+v", a.Data)
	}
	for n := 1; n <= 3; n++ {
		if err := d.attest(n, 5); err != nil {
			t.Errorf("key %d: %v", n, err)
		}
	}
	want := []string{line(1, "", true), line(2, "", false), line(3, "m/12381/3600/3/0/0", false)}
	slices.Sort(want)
	if diff := cmp.Diff(want, d.listed(d.caller)); diff != "" {
		t.Error(diff)
	}
	if source, _ := d.loaded.SourceOf(publicKey(1)); source != keystore.Filesystem {
		t.Errorf("the original of a duplicate is of %v now", source)
	}
	d.did("POST", importBody(nil, 2), "duplicate")
}

func TestEachKeystoreIsForItself(t *testing.T) {
	d := newDesk(t, nil)
	other := publicKey(9)
	wrong := strings.Replace(keystoreOf(2), publicKey(2).String()[2:], other.String()[2:], 1)
	if !strings.Contains(wrong, other.String()[2:]) {
		t.Fatal("the keystore's pubkey was not replaced")
	}
	a := d.did("POST", encode(map[string]any{
		"keystores": []string{keystoreOf(1), wrong, keystoreOf(3), "{}", "not JSON", keystoreOf(1), strings.Repeat(" ", 65<<10)},
		"passwords": []string{password, password, "wrong", password, password, password, password},
	}), "imported error error error error duplicate error")
	for n, words := range map[int]string{
		1: "field pubkey names " + other.String(), 2: "wrong password", 3: "version is 0", 4: "not valid JSON", 5: "in this request before", 6: "the limit is 65536",
	} {
		if !strings.Contains(a.Data[n].Message, words) {
			t.Errorf("%d: %q, want %q", n, a.Data[n].Message, words)
		}
	}
	if diff := cmp.Diff([]string{line(1, "", false)}, d.listed(d.caller)); diff != "" {
		t.Error(diff)
	}
	for _, entry := range d.lines.All() {
		if text := encode(entry.ContextMap()); strings.Contains(text, password) || strings.Contains(text, "wrong") {
			t.Errorf("a password is in the log: %s", text)
		}
	}
}

func TestHistoryIsMergedForTheKeysThatAreImported(t *testing.T) {
	d := newDesk(t, nil)
	d.loaded.Replace(keystore.Filesystem, []*keystore.Key{keystore.NewKey(secretKey(2))})
	// 1 is imported, 2 is loaded already, 3 does not open, 4 is not in the request.
	a := d.did("POST", encode(map[string]any{
		"keystores": []string{keystoreOf(1), keystoreOf(2), keystoreOf(3)}, "passwords": []string{password, password, "wrong"},
		"slashing_protection": votes(map[int]uint64{1: 10, 2: 20, 3: 30, 4: 40}),
	}), "imported duplicate error")
	if !strings.Contains(a.Data[1].Message, "slashing_protection was not taken over") {
		t.Errorf("%+v", a.Data[1])
	}
	if got, want := d.onRecord(), publicKey(1).Short()+":10"; got != want {
		t.Errorf("on record: %s, want %s", got, want)
	}
	if p := problem.Of(d.attest(1, 10)); p.Kind != problem.Slashable {
		t.Errorf("a vote at the imported height: %v", p)
	}
	if err := d.attest(1, 11); err != nil {
		t.Error(err)
	}
}

func TestHistoryThatCannotBeKeptKeepsAllOut(t *testing.T) {
	foreign := strings.Replace(votes(map[int]uint64{1: 10}), "0x1122", "0x1123", 1)
	for name, tc := range map[string]struct {
		history any
		code    int
		words   string
	}{
		"not JSON":        {"{", 400, "the file ends in the middle"},
		"another network": {foreign, 400, "another network"},
		"another version": {strings.Replace(votes(nil), `"5"`, `"4"`, 1), 400, "version"},
		"no string":       {map[string]any{}, 400, "slashing_protection: want a string"},
		"number":          {5, 400, "slashing_protection: want a string"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, nil)
			d.refused(d.ask("POST", importBody(map[string]any{"slashing_protection": tc.history}, 1)), tc.code, tc.words)
			if d.loaded.Len() != 0 || d.onRecord() != "" {
				t.Errorf("%d keys, record %s", d.loaded.Len(), d.onRecord())
			}
		})
	}
	t.Run("store that is closed", func(t *testing.T) {
		ledger := storetest.NewMemory()
		d := newDesk(t, func(s *settings) { s.ledger = ledger })
		if err := ledger.Close(); err != nil {
			t.Fatal(err)
		}
		d.refused(d.ask("POST", importBody(map[string]any{"slashing_protection": votes(map[int]uint64{1: 10})}, 1)), 503, "no key was imported")
		if d.loaded.Len() != 0 {
			t.Error("the key is loaded")
		}
		d.did("POST", importBody(map[string]any{"slashing_protection": votes(map[int]uint64{2: 10})}, 1), "imported") // nothing of it to record
	})
}

func TestNoHistory(t *testing.T) {
	for name, more := range map[string]map[string]any{
		"left out": nil, "null": {"slashing_protection": nil}, "empty": {"slashing_protection": ""}, "of no key": {"slashing_protection": votes(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			newDesk(t, nil).did("POST", importBody(more, 1), "imported")
		})
	}
}

// TestUnknownKeysAreTold: with unknown_keys refuse a key without a record is imported and signs no vote, which its importer should learn.
func TestUnknownKeysAreTold(t *testing.T) {
	d := newDesk(t, func(s *settings) { s.KnownOnly = true })
	empty := `{"pubkey":"` + publicKey(2).String() + `","signed_blocks":[],"signed_attestations":[]}`
	history := strings.Replace(votes(map[int]uint64{1: 10}), `"data":[`, `"data":[`+empty+`,`, 1)
	a := d.did("POST", importBody(map[string]any{"slashing_protection": history}, 1, 2, 3), "imported imported imported")
	for n, known := range []bool{true, false, false} {
		if told := strings.Contains(a.Data[n].Message, "slashing init --key "+publicKey(n+1).String()); told == known {
			t.Errorf("key %d: %q", n+1, a.Data[n].Message)
		}
		if err := d.attest(n+1, 11); (err == nil) != known {
			t.Errorf("key %d: %v", n+1, err)
		}
	}
}

func TestPolicyOfImports(t *testing.T) {
	d := newDesk(t, nil)
	d.caller = authtest.Client(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{auth.ImportKeystores, auth.ListKeys}, Keys: []string{publicKey(1).String()}})
	a := d.did("POST", importBody(map[string]any{"slashing_protection": votes(map[int]uint64{1: 10, 2: 20})}, 1, 2), "imported error")
	if !strings.Contains(a.Data[1].Message, "allows import_keystores with key "+publicKey(2).String()) {
		t.Errorf("%+v", a.Data[1])
	}
	if got, want := d.onRecord(), publicKey(1).Short()+":10"; got != want || d.loaded.Len() != 1 {
		t.Errorf("on record: %s, want %s; %d keys", got, want, d.loaded.Len())
	}
	for name, tc := range map[string]struct {
		caller auth.Caller
		code   int
	}{
		"nobody": {authtest.Anonymous(), 401}, "open duties": {authtest.Open(), 401}, "zero": {auth.Caller{}, 401},
		"other scopes": {authtest.With(auth.Sign, auth.ListKeys, auth.DeleteKeys, auth.ChamberKeysImport), 403},
	} {
		t.Run(name, func(t *testing.T) {
			d.refused(d.askAs(tc.caller, "POST", importBody(nil, 3)), tc.code, "")
			d.refused(d.askAs(tc.caller, "POST", "not JSON"), tc.code, "") // the body is nobody's business
		})
	}
}

func TestNoopTakesNoHistory(t *testing.T) {
	d := newDesk(t, func(s *settings) { s.noop = true })
	d.refused(d.ask("POST", importBody(map[string]any{"slashing_protection": votes(nil)}, 1)), 400, "backend is noop")
	d.did("POST", importBody(nil, 1), "imported")
	a := d.did("DELETE", deleteBody(1, 2), "deleted not_found")
	if diff := cmp.Diff(exported(t, a), map[string]uint64{}); diff != "" {
		t.Error(diff)
	}
}

func TestMissingKeysAre503(t *testing.T) {
	var missing error
	d := newDesk(t, func(s *settings) { s.Missing = func() error { return missing } })
	d.did("POST", importBody(nil, 1), "imported")
	missing = errors.New("the chamber is sealed")
	for method, body := range map[string]string{"GET": "", "POST": importBody(nil, 2), "DELETE": deleteBody(1)} {
		d.refused(d.ask(method, body), 503, "sealed")
	}
	if _, ok := d.loaded.SourceOf(publicKey(1)); !ok || d.loaded.Len() != 1 {
		t.Error("something was done")
	}
}

func TestAuditLine(t *testing.T) {
	d := newDesk(t, nil)
	d.did("POST", importBody(map[string]any{"slashing_protection": votes(map[int]uint64{1: 10})}, 1, 2), "imported imported")
	d.did("DELETE", deleteBody(1, 3), "deleted not_found")
	d.listed(d.caller)
	d.ask("POST", "{")
	var got []map[string]any
	for _, entry := range d.lines.All() {
		fields := entry.ContextMap()
		delete(fields, "duration")
		delete(fields, "from")
		got = append(got, fields)
	}
	by := map[string]any{"audit": "request", "caller": d.caller.String()}
	with := func(fields map[string]any) map[string]any {
		for name, value := range by {
			fields[name] = value
		}
		return fields
	}
	want := []map[string]any{
		with(map[string]any{"route": "POST /eth/v1/keystores", "items": int64(2), "imported": int64(2), "keys": []any{publicKey(1).Short(), publicKey(2).Short()}, "slashing_protection": true, "status": int64(200)}),
		with(map[string]any{"route": "DELETE /eth/v1/keystores", "items": int64(2), "deleted": int64(1), "not_found": int64(1), "keys": []any{publicKey(1).Short()}, "status": int64(200)}),
		with(map[string]any{"route": "GET /eth/v1/keystores", "listed": int64(1), "status": int64(200)}),
		with(map[string]any{"route": "POST /eth/v1/keystores", "error": "body is not JSON", "status": int64(400)}),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOtherPathsAreNotOurs(t *testing.T) {
	d := newDesk(t, nil)
	for _, path := range []string{"/eth/v1/remotekeys", "/eth/v1/keystores/", "/eth/v1/validator/0x00/feerecipient", "/eth/v1/validator/0x00/gas_limit"} {
		d.refused(d.askPath(path), http.StatusNotFound, "no such path")
	}
	d.refused(d.ask("PATCH", "{}"), http.StatusMethodNotAllowed, "DELETE, GET")
}

// exported are the targets of the keys in an exported file.
func exported(t *testing.T, a answer) map[string]uint64 {
	t.Helper()
	if a.SlashingProtection == nil {
		t.Fatal("no slashing_protection")
	}
	var file struct {
		Data []struct {
			Pubkey       string
			Attestations []struct {
				Target uint64 `json:"target_epoch,string"`
			} `json:"signed_attestations"`
		}
	}
	if err := json.Unmarshal([]byte(*a.SlashingProtection), &file); err != nil {
		t.Fatalf("%v: %s", err, *a.SlashingProtection)
	}
	all := map[string]uint64{}
	for _, v := range file.Data {
		all[v.Pubkey] = v.Attestations[0].Target
	}
	return all
}

// TestRecordAheadIsTold: such a key signs nothing for long, and nothing can lower its record.
func TestRecordAheadIsTold(t *testing.T) {
	clocked := network()
	clocked.GenesisTime, clocked.SecondsPerSlot = uint64(time.Now().Add(-24*time.Hour).Unix()), 12
	d := newDesk(t, func(s *settings) { s.Network = clocked })
	now, ok := clocked.EpochAt(time.Now())
	if !ok || now == 0 {
		t.Fatal("the network has no clock")
	}
	block := `{"pubkey":"` + publicKey(3).String() + `","signed_blocks":[{"slot":"99999999"}],"signed_attestations":[]}`
	history := strings.Replace(votes(map[int]uint64{1: now, 2: now + 5}), `"data":[`, `"data":[`+block+`,`, 1)
	a := d.did("POST", importBody(map[string]any{"slashing_protection": history}, 1, 2, 3), "imported imported imported")
	for n, told := range []bool{false, true, true} {
		if strings.HasPrefix(a.Data[n].Message, "its slashing protection reaches epoch") != told {
			t.Errorf("%d: %q", n, a.Data[n].Message)
		}
	}
}
