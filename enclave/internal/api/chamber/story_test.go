package chamber_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

// public is the public key that the test vectors of EIP-2335 hold.
const public = "0x9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07"

// TestStory: what an operator does in the life of a chamber, with another replica beside.
func TestStory(t *testing.T) {
	d := initialized(t, nil)
	other := d.beside()

	var token routes.Token
	d.ok("POST", routes.RouteGenerateToken, d.root, `{"lifetime_seconds": 3600}`, &token)
	if token.Expires.Sub(token.Created).Hours() != 1 || !strings.HasPrefix(token.RootToken, chamber.RootTokenPrefix) {
		t.Errorf("%+v", token)
	}
	if got := d.post(routes.RouteFreeze, `{"pubkeys": ["`+public+`"]}`); got.Frozen != "keys" || got.FrozenKeys != 1 {
		t.Errorf("frozen: %+v", got)
	}
	if got := d.post(routes.RouteUnfreeze, `{"pubkeys": ["`+public+`"]}`); got.Frozen != "none" || got.FrozenKeys != 0 {
		t.Errorf("unfrozen: %+v", got)
	}
	d.post(routes.RouteFreeze, "")
	if got := d.post(routes.RouteRotateSlashing, `{"store_id": "another"}`); got.SlashingStore != "another" {
		t.Errorf("slashing store: %+v", got)
	}
	if got := d.post(routes.RouteRotateSlashing, ""); got.SlashingStore != chambertest.SlashingStore {
		t.Errorf("slashing store in use: %+v", got)
	}
	d.post(routes.RouteUnfreeze, "{}")
	digest := strings.Repeat("ab", 48)
	d.post(routes.RouteApproveConfig, `{"digest": "`+digest+`", "label": "next"}`)
	if s := d.Chamber.Status(); len(s.Approved) != 2 || s.Approved[1].Label != "next" {
		t.Errorf("approved: %+v", s.Approved)
	}
	d.post(routes.RouteRevokeConfig, `{"digest": "`+digest+`"}`)
	if got := d.post(routes.RouteRotateKMS, initBody(1, chambertest.ARNs(4, 5)...)); got.Status != "unsealed" {
		t.Errorf("rotated: %+v", got)
	}
	before := d.Chamber.Status().ChamberID
	if got := d.post(routes.RouteRotateMaster, ""); got.Status != "unsealed" || got.ChamberID == before {
		t.Errorf("master key rotated: %+v, was %s", got, before)
	}
	if err := other.Chamber.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.ok("POST", routes.RouteSeal, token.RootToken, "", nil)
	if err := other.Chamber.Refresh(t.Context()); err != nil || other.Chamber.Status().State != chamber.Sealed {
		t.Errorf("the other replica: %v, %v", err, other.Chamber.Status().State)
	}
	if got := other.post(routes.RouteUnseal, ""); got.Status != "unsealed" || got.Reason != "" {
		t.Errorf("unsealed: %+v", got)
	}
	if err := d.Chamber.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.post(routes.RouteRevokeToken, `{"id": "`+token.ID+`"}`)
	d.refused("a revoked token", d.ask("POST", routes.RouteSeal, token.RootToken, ""), http.StatusUnauthorized, "the token is not valid")
}

// TestTheFirstRootTokenMayBeTheCallers, who has it then whatever becomes of the answer.
func TestTheFirstRootTokenMayBeTheCallers(t *testing.T) {
	d := newDesk(t, &chambertest.World{}, nil)
	own := chamber.NewRootToken()
	var got routes.Initialized
	d.ok("POST", routes.RouteInit, d.Chamber.SetupToken(), strings.Replace(initBody(1, chambertest.ARN(1)), "{", `{"root_token": "`+own+`",`, 1), &got)
	if got.RootToken != own || got.ChamberID == "" || got.Status != "unsealed" {
		t.Errorf("%+v", got)
	}
	d.root = own
	d.post(routes.RouteFreeze, "")
}

// TestRequestsAreRecorded: one line each, with the token's id and without anything secret.
func TestRequestsAreRecorded(t *testing.T) {
	d := initialized(t, nil)
	d.audited()
	var token routes.Token
	d.ok("POST", routes.RouteGenerateToken, d.root, "", &token)
	d.ask("POST", routes.RouteSeal, chamber.NewRootToken(), "")
	d.ask("POST", routes.RouteFreeze, token.RootToken, `{"keys": []}`)
	lines := d.audited()
	want := []map[string]any{
		{"audit": "request", "route": "POST " + routes.RouteGenerateToken, "status": int64(200), "generated": token.ID},
		{"audit": "request", "route": "POST " + routes.RouteFreeze, "status": int64(400), "caller": "management token " + token.ID, "error": `unknown field "keys", want pubkeys`},
	}
	for _, line := range lines {
		if line["from"] == "" || line["duration"] == nil {
			t.Errorf("%v", line)
		}
		delete(line, "from")
		delete(line, "duration")
		if line["route"] == "POST "+routes.RouteGenerateToken {
			if line["caller"] == "nobody" {
				t.Errorf("no id: %v", line)
			}
			delete(line, "caller")
		}
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	if text := encode(lines); strings.Contains(text, chamber.RootTokenPrefix) {
		t.Errorf("a token is in the log: %s", text)
	}
}

// TestOperatorStatusOfAChamber: what is known of it stands beside its state.
func TestOperatorStatusOfAChamber(t *testing.T) {
	d := initialized(t, nil)
	d.world.KMS.Deny(chambertest.ARN(2), chambertest.ARN(3))
	other := newDesk(t, d.world, nil)
	if err := other.Chamber.Refresh(t.Context()); err == nil {
		t.Fatal("it unsealed with one share of two")
	}
	for name, test := range map[string]struct {
		at     *desk
		status operator.SealStatus
		reason string
	}{
		"uninitialized": {newDesk(t, &chambertest.World{}, nil), "uninitialized", "not initialized"},
		"unsealed":      {d, "unsealed", ""},
		"sealed":        {other, "sealed", "1 of 3 shares could be opened, 2 are needed"},
	} {
		t.Run(name, func(t *testing.T) {
			test.at.t = t
			var s operator.Status
			token := ""
			if test.at == d {
				token = d.root
				d.refused("nobody", d.ask("GET", operator.RouteStatus, "", ""), 401, "a token is needed")
			}
			test.at.ok("GET", operator.RouteStatus, token, "", &s)
			if s.Seal.Status != test.status || !strings.Contains(s.Seal.Reason, test.reason) || (s.Seal.Chamber == nil) != (token == "") {
				t.Fatalf("%+v", s.Seal)
			}
			if token == "" { // nobody can be told from anybody: an outline is for all
				return
			}
			if s.Seal.Attested || !strings.HasPrefix(s.Seal.KMS, "standard mode:") || len(s.Seal.Shares) != 3 || len(s.Seal.ApprovedConfigs) != 1 || len(s.Seal.RootTokens) != 1 || s.Seal.Threshold != 2 || s.Seal.Frozen != "none" {
				t.Errorf("%+v", s.Seal.Chamber)
			}
		})
	}
}
