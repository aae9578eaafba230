package chamber_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// recoverable is an initialized replica whose new keys have backups for the returned identity.
func recoverable(t *testing.T, with func(*chamber.Options, *routes.Options)) (*desk, *age.X25519Identity) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, &chambertest.World{Recipients: []string{identity.Recipient().String()}}, with)
	var got routes.Initialized
	d.ok("POST", routes.RouteInit, d.Chamber.SetupToken(), initBody(2, chambertest.ARNs(1, 2, 3)...), &got)
	d.root = got.RootToken
	if err := d.Stored.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d, identity
}

// inside is what a backup holds.
type inside struct {
	Mnemonic    string
	Count       int
	FirstPubkey string `json:"first_pubkey"`
}

func opened(t *testing.T, backup string, identity age.Identity) (held inside) {
	t.Helper()
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(backup)), identity)
	if err != nil {
		t.Fatalf("%v: %s", err, backup)
	}
	text, err := io.ReadAll(r)
	if err == nil {
		err = json.Unmarshal(text, &held)
	}
	if err != nil {
		t.Fatal(err)
	}
	return held
}

// TestGenerate: new keys are stored and loaded when they are told, each with the backup beside it.
func TestGenerate(t *testing.T) {
	d, identity := recoverable(t, nil)
	var got routes.Generated
	d.ok("POST", routes.RouteGenerate, d.root, `{"count": 3}`, &got)
	if len(got.Data) != 3 || got.DepositData != nil {
		t.Fatalf("%+v", got)
	}
	inside := opened(t, got.Backup, identity)
	if len(strings.Fields(inside.Mnemonic)) != 24 || inside.Count != 3 || inside.FirstPubkey != got.Data[0].Pubkey {
		t.Errorf("%d words, %d keys, first %s", len(strings.Fields(inside.Mnemonic)), inside.Count, inside.FirstPubkey)
	}
	for i, k := range got.Data {
		want := routes.GeneratedKey{KeyResult: routes.KeyResult{Status: "active", Pubkey: k.Pubkey}, Path: "m/12381/3600/" + string(rune('0'+i)) + "/0/0"}
		if diff := cmp.Diff(want, k); diff != "" {
			t.Error(diff)
		}
		public, err := bls.ParsePublicKey(k.Pubkey)
		if err != nil {
			t.Fatal(err)
		}
		if _, signs := d.Keys.SourceOf(public); !signs {
			t.Errorf("%s is not loaded", public.Short())
		}
		var beside routes.KeyBackup
		d.ok("GET", routes.RouteKeys+"/"+k.Pubkey+"/backup", d.root, "", &beside)
		if diff := cmp.Diff(routes.KeyBackup{Pubkey: k.Pubkey, Backup: got.Backup}, beside); diff != "" {
			t.Error(diff)
		}
	}
	var other routes.Generated
	d.ok("POST", routes.RouteGenerate, d.root, `{"count": 1, "status": "inactive"}`, &other)
	if opened(t, other.Backup, identity).Mnemonic == inside.Mnemonic || other.Data[0].Status != "inactive" || other.Data[0].Pubkey == got.Data[0].Pubkey {
		t.Errorf("%+v", other.Data)
	}
	if d.Keys.Len() != 3 {
		t.Errorf("%d keys are loaded, and one of 4 is inactive", d.Keys.Len())
	}
	restarted := d.beside()
	if err := restarted.Stored.Load(t.Context()); err != nil || restarted.Keys.Len() != 3 {
		t.Errorf("after a restart %d keys, %v", restarted.Keys.Len(), err)
	}
	if text := encode(d.audited()); strings.Contains(text, inside.Mnemonic[:20]) || !strings.Contains(text, `"first_pubkey":"`+got.Data[0].Pubkey) {
		t.Error(text)
	}
}

// TestGenerateWithoutRecipients: there is no backup, and none to be had.
func TestGenerateWithoutRecipients(t *testing.T) {
	d := initialized(t, nil)
	var got routes.Generated
	d.ok("POST", routes.RouteGenerate, d.root, `{"count": 1}`, &got)
	if got.Backup != "" {
		t.Error(got.Backup)
	}
	d.refused("backup", d.ask("GET", routes.RouteKeys+"/"+got.Data[0].Pubkey+"/backup", d.root, ""), 404, "no backup is stored beside key "+got.Data[0].Pubkey)
	d.refused("no key", d.ask("GET", routes.RouteKeys+"/"+nobody+"/backup", d.root, ""), 404, "key "+nobody+" is not stored")
	d.refused("no name", d.ask("GET", routes.RouteKeys+"/0x12/backup", d.root, ""), 400, "pubkey: ")
}

// TestDeposits verifies deposit data as the deposit contract and the chain do.
func TestDeposits(t *testing.T) {
	d := initialized(t, nil)
	const address = "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" // EIP-55
	compounding := "020000000000000000000000" + strings.ToLower(address)
	for _, test := range []struct {
		deposit, credentials string
		amount               uint64
	}{
		{`{"withdrawal_address": "0x` + address + `"}`, "010000000000000000000000" + strings.ToLower(address), 32_000_000_000},
		{`{"withdrawal_credentials": "0x` + compounding + `", "amount_gwei": 2048000000000}`, compounding, 2048_000_000_000},
	} {
		var got routes.Generated
		d.ok("POST", routes.RouteGenerate, d.root, `{"count": 2, "deposit": `+test.deposit+`}`, &got)
		if len(got.DepositData) != 2 {
			t.Fatalf("%+v", got)
		}
		for i, data := range got.DepositData {
			if "0x"+data.PublicKey != got.Data[i].Pubkey || data.WithdrawalCredentials != test.credentials || data.Amount != test.amount ||
				data.NetworkName != "hoodi" || data.ForkVersion != "10000910" {
				t.Errorf("%+v", data)
			}
			public, _ := bls.ParsePublicKey(got.Data[i].Pubkey)
			message := eth2.DepositMessage{PublicKey: public, Amount: data.Amount, GenesisForkVersion: eth2.Version{0x10, 0, 9, 0x10}}
			credentials, err := hex.DecodeString(data.WithdrawalCredentials)
			if err != nil {
				t.Fatal(err)
			}
			copy(message.WithdrawalCredentials[:], credentials)
			signature, err := hex.DecodeString(data.Signature)
			if err != nil {
				t.Fatal(err)
			}
			if !bls.Verify(public, eth2.NewDeposit(message).SigningRoot(), bls.Signature(signature)) {
				t.Errorf("the signature does not verify: %+v", data)
			}
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	d := initialized(t, nil)
	for body, words := range map[string]string{
		`{}`:                                   "count: is missing",
		`{"count": 0}`:                         "count: 0, want 1 to 100",
		`{"count": 101}`:                       "count: 101, want 1 to 100",
		`{"count": "1"}`:                       "count: want a whole number",
		`{"count": 1, "status": "deleted"}`:    `status: "deleted", want active or inactive`,
		`{"count": 1, "deposit": {}}`:          "deposit: want either withdrawal_address or withdrawal_credentials",
		`{"count": 1, "deposit": {"to": "x"}}`: "deposit: want an object with",
		`{"count": 1, "deposit": {"withdrawal_address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee"}}`:                    "deposit: withdrawal_address: the checksum",
		`{"count": 1, "deposit": {"withdrawal_address": "0x5a"}}`:                                                          "deposit: withdrawal_address: want 0x and 40",
		`{"count": 1, "deposit": {"withdrawal_credentials": "00"}}`:                                                        "deposit: withdrawal_credentials: want 0x and 64",
		`{"count": 1, "deposit": {"withdrawal_address": "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "amount_gwei": 1}}`:  "deposit: amount: 1 Gwei",
		`{"count": 1, "deposit": {"withdrawal_address": "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "amount_gwei": -1}}`: "deposit: want an object with",
		`{"count": 1, "deposit": {"withdrawal_credentials": "0x03` + strings.Repeat("01", 31) + `"}}`:                      "type 0x03",
	} {
		d.refused(body, d.ask("POST", routes.RouteGenerate, d.root, body), 400, words)
	}
	var all routes.Listed
	d.ok("GET", routes.RouteKeys, d.root, "", &all)
	if len(all.Data) != 0 {
		t.Errorf("refused, and stored: %+v", all)
	}
}

// TestGenerateAsFarAsAPolicyAllows: a policy that names keys does not name new ones.
func TestGenerateAsFarAsAPolicyAllows(t *testing.T) {
	d, _ := recoverable(t, nil)
	scopes := []auth.Scope{auth.ChamberKeysGenerate}
	some := d.client(auth.Rule{Effect: auth.Allow, Scopes: scopes, Keys: []string{nobody}})
	d.refused("named keys", d.ask("POST", routes.RouteGenerate, some, `{"count": 2}`), 403, "no policy of")
	if d.Keys.Len() != 0 {
		t.Errorf("%d keys", d.Keys.Len())
	}
	var got routes.Generated
	d.ok("POST", routes.RouteGenerate, d.client(auth.Rule{Effect: auth.Allow, Scopes: scopes}), `{"count": 1}`, &got)
	path := routes.RouteKeys + "/" + got.Data[0].Pubkey + "/backup"
	d.refused("backup of another's key", d.ask("GET", path, some, ""), 403, "no policy of")
	d.refused("who may list alone", d.ask("GET", path, d.client(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{auth.ChamberKeysList}}), ""), 403, "no policy of")
}

// TestNothingIsToldOfAKeyThatIsNotStored: whoever deposited for it would have lost the deposit.
func TestNothingIsToldOfAKeyThatIsNotStored(t *testing.T) {
	d, _ := recoverable(t, nil)
	var writes, failing atomic.Int64
	failing.Store(2)
	d.world.OnPut = func() error {
		if n := writes.Add(1); n == failing.Load() || failing.Load() == 0 {
			return store.ErrUnavailable
		}
		return nil
	}
	const body = `{"count": 3, "deposit": {"withdrawal_address": "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"}}`
	var got routes.Generated
	d.ok("POST", routes.RouteGenerate, d.root, body, &got)
	failed, deposited := "", map[string]bool{}
	for _, data := range got.DepositData {
		deposited["0x"+data.PublicKey] = true
	}
	for _, k := range got.Data {
		if k.Status == routes.Failed {
			failed += k.Pubkey
		}
		if deposited[k.Pubkey] == (k.Status == routes.Failed) {
			t.Errorf("%+v, deposit data %t", k, deposited[k.Pubkey])
		}
	}
	if len(failed) != 98 || len(deposited) != 2 || got.Backup == "" || d.Keys.Len() != 2 {
		t.Errorf("failed %q, %d deposits, %d keys", failed, len(deposited), d.Keys.Len())
	}
	failing.Store(0)
	got = routes.Generated{}
	d.ok("POST", routes.RouteGenerate, d.root, body, &got)
	if got.DepositData != nil || got.Backup != "" || got.Data[2].Status != routes.Failed {
		t.Errorf("%+v", got)
	}
}

// TestALostAnswer: a caller who is gone before the answer finds keys and backup in the table.
func TestALostAnswer(t *testing.T) {
	d, identity := recoverable(t, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	d.world.OnPut = func() error {
		hangUp() // while the first is written
		return nil
	}
	if w := d.askWith(ctx, "POST", routes.RouteGenerate, d.root, `{"count": 3}`); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	d.world.OnPut = nil
	restarted := d.beside()
	if err := restarted.Stored.Load(t.Context()); err != nil || restarted.Keys.Len() != 3 {
		t.Fatalf("%d keys, %v", restarted.Keys.Len(), err)
	}
	var all routes.Listed
	restarted.ok("GET", routes.RouteKeys, d.root, "", &all)
	for _, k := range all.Data {
		var beside routes.KeyBackup
		restarted.ok("GET", routes.RouteKeys+"/"+k.Pubkey+"/backup", d.root, "", &beside)
		if !k.Backup || opened(t, beside.Backup, identity).Count != 3 {
			t.Errorf("%+v", k)
		}
	}
	d.refused("gone before", d.askWith(ctx, "POST", routes.RouteGenerate, d.root, `{"count": 3}`), 503, "nothing is stored")
	if d.Keys.Len() != 3 {
		t.Errorf("%d keys", d.Keys.Len())
	}
}
