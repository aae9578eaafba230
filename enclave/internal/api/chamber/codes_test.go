package chamber_test

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

// nobody is a public key that nobody has.
var nobody = "0x80" + strings.Repeat("01", 47)

// rooted are the calls that need a root token.
var rooted = []string{
	"POST " + routes.RouteSeal, "POST " + routes.RouteUnseal, "POST " + routes.RouteRotateKMS, "POST " + routes.RouteRotateMaster,
	"POST " + routes.RouteRotateSlashing, "POST " + routes.RouteGenerateToken, "POST " + routes.RouteRevokeToken, "POST " + routes.RouteFreeze,
	"POST " + routes.RouteUnfreeze, "POST " + routes.RouteApproveConfig, "POST " + routes.RouteRevokeConfig, "GET " + routes.RouteBackup,
	"POST " + routes.RouteImport, "PATCH " + routes.RouteKeys, "DELETE " + routes.RouteKeys, "GET " + routes.RouteKeys, "POST " + routes.RouteGenerate,
	"GET " + routes.RouteKeys + "/" + nobody + "/backup",
	"GET " + routes.RoutePolicies, "PUT " + routes.RoutePolicies + "/p", "DELETE " + routes.RoutePolicies + "/p", "GET " + routes.RouteTokens,
	"POST " + routes.RouteTokens, "POST " + routes.RouteTokens + "/0123456789abcdef/rotate", "DELETE " + routes.RouteTokens + "/0123456789abcdef",
	"POST " + routes.RouteResetAuth,
}

// TestNobodyWithoutAToken: nothing but a root token opens a call, and nothing but the setup token the other two.
func TestNobodyWithoutAToken(t *testing.T) {
	d := initialized(t, nil)
	fresh := newDesk(t, &chambertest.World{}, nil)
	version := d.Chamber.Status().Version
	guesses := 0
	for _, pattern := range rooted {
		method, route, _ := strings.Cut(pattern, " ")
		d.refused(pattern, d.ask(method, route, "", "{}"), 401, "Authorization: Bearer")
		for _, token := range []string{chamber.NewRootToken(), d.root + "A", d.root[1:], "x", d.Chamber.SetupToken()} {
			d.refused(pattern, d.ask(method, route, token, "{}"), 401, "the token is not valid")
			guesses++
		}
	}
	for _, route := range []string{routes.RouteInit, routes.RouteRestore} {
		fresh.refused(route, fresh.ask("POST", route, "", "{}"), 401, "Authorization: Bearer")
		fresh.refused(route, fresh.ask("POST", route, chamber.NewSetupToken(time.Now().Add(time.Hour)), "{}"), 401, "the token is not valid")
		d.refused(route, d.ask("POST", route, d.Chamber.SetupToken(), "{}"), 401, "it was used to initialize the chamber")
		d.refused(route, d.ask("POST", route, d.root, "{}"), 403, "is not the setup token")
		guesses++
	}
	if now := d.Chamber.Status().Version; now != version {
		t.Errorf("a refused call made version %d of %d", now, version)
	}
	refused := d.lines.FilterMessage("refused").Len()
	if want := guesses + len(rooted) - 1 + 2; refused != want { // unseal is not refused before it is tried
		t.Errorf("%d lines of refusals, want %d", refused, want)
	}
	if lines := d.audited(); len(lines) != 1+len(rooted)+2 { // who guesses gets no further
		t.Errorf("%d lines of requests, want %d", len(lines), 1+len(rooted)+2)
	}
}

// TestTokensComeInOneHeader: a second one, and other schemes, are refused.
func TestTokensComeInOneHeader(t *testing.T) {
	d := initialized(t, nil)
	for name, values := range map[string][]string{
		"twice": {"Bearer " + d.root, "Bearer " + d.root}, "basic": {"Basic " + d.root}, "empty": {"Bearer "}, "bare": {d.root},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", routes.RouteSeal, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = values
		w := httptest.NewRecorder()
		d.Handler.ServeHTTP(w, r)
		d.refused(name, w, 401, "Authorization")
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", routes.RouteUnseal, http.NoBody)
	r.SetBasicAuth("whoever", d.root) // the only form that most validator clients can send
	w := httptest.NewRecorder()
	d.Handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("Basic: %d %s", w.Code, w.Body)
	}
}

func TestBadInput(t *testing.T) {
	d := initialized(t, func(_ *chamber.Options, o *routes.Options) { o.KMSThreshold = 2 })
	version := d.Chamber.Status().Version
	huge := strings.Repeat(" ", 16<<20) + "{}"
	missing := strings.Repeat("cd", 48)
	for _, test := range []struct {
		route, body string
		code        int
		want        string
	}{
		{routes.RouteSeal, "x", 400, "body is not JSON"},
		{routes.RouteSeal, "[]", 400, "body is not a JSON object"},
		{routes.RouteSeal, "{} {}", 400, "body is not JSON"},
		{routes.RouteSeal, `{"now": true}`, 400, `unknown field "now": there are none`},
		{routes.RouteSeal + "?x=1", "", 400, "there are no parameters in the URL"},
		{routes.RouteSeal, huge, 413, "body is larger than 16777216 bytes"},
		{routes.RouteUnseal, `{"token": ""}`, 400, `unknown field "token"`},
		{routes.RouteRotateMaster, `{"x": 1}`, 400, `unknown field "x"`},

		{routes.RouteRotateKMS, "", 400, "kms_key_arns: is missing"},
		{routes.RouteRotateKMS, `{"kms_key_arns": ["x"]}`, 400, "threshold: is missing"},
		{routes.RouteRotateKMS, `{"kms_key_arns": null, "threshold": 1}`, 400, "kms_key_arns: want an array"},
		{routes.RouteRotateKMS, `{"kms_key_arns": "x", "threshold": 1}`, 400, "kms_key_arns: want an array"},
		{routes.RouteRotateKMS, `{"kms_key_arns": [], "threshold": "1"}`, 400, "threshold: want a whole number"},
		{routes.RouteRotateKMS, `{"kms_key_arns": [], "threshold": 1.5}`, 400, "threshold: want a whole number"},
		{routes.RouteRotateKMS, `{"kms_key_arns": [], "threshold": 1, "threshold": 1}`, 400, "threshold: is given twice"},
		{routes.RouteRotateKMS, `{"Threshold": 1}`, 400, `unknown field "Threshold", want kms_key_arns, threshold`},
		{routes.RouteRotateKMS, initBody(2, "arn:aws:kms:x"), 400, `kms_key_arns[0]: "arn:aws:kms:x" is not the ARN of a KMS key`},
		{routes.RouteRotateKMS, initBody(2, chambertest.ARN(1), chambertest.ARN(6)), 403, "kms_key_arns[1]: KMS key " + chambertest.ARN(6) + " is not in chamber.kms_key_arns"},
		{routes.RouteRotateKMS, initBody(1, chambertest.ARN(1)), 403, "chamber.kms_threshold of the configuration is 2"},
		{routes.RouteRotateKMS, initBody(2, chambertest.ARN(1)), 400, "threshold 2 of 1 KMS keys"},
		{routes.RouteRotateKMS, initBody(2, chambertest.ARNs(1, 1)...), 400, "is named twice"},

		{routes.RouteRotateSlashing, `{"store_id": 1}`, 400, "store_id: want a string"},
		{routes.RouteRotateSlashing, `{"store_id": "other"}`, 400, "only while all keys are frozen"},
		{routes.RouteRotateSlashing, `{"store_id": "\u0007"}`, 400, "identity"},

		{routes.RouteGenerateToken, `{"lifetime_seconds": -1}`, 400, "lifetime_seconds: -1"},
		{routes.RouteGenerateToken, `{"lifetime_seconds": 99999999999}`, 400, "to 315360000"},
		{routes.RouteRevokeToken, `{}`, 400, "id: is missing"},
		{routes.RouteRevokeToken, `{"id": "0123456789abcdef"}`, 400, `id: there is no root token "0123456789abcdef"`},
		{routes.RouteRevokeToken, `{"id": "` + d.Chamber.Status().RootTokens[0].ID + `"}`, 400, "is the last one that does not expire"},

		{routes.RouteFreeze, `{"pubkeys": []}`, 400, "pubkeys: is empty"},
		{routes.RouteFreeze, `{"pubkeys": null}`, 400, "pubkeys: want an array"},
		{routes.RouteFreeze, `{"pubkeys": ["0x12"]}`, 400, "pubkeys[0]: public key is not 96 hexadecimal digits"},
		{routes.RouteFreeze, `{"pubkeys": ["` + public + `", "` + strings.ToUpper(public[2:]) + `"]}`, 400, "pubkeys[1]: is given twice"},
		{routes.RouteFreeze, `{"pubkey": "` + public + `"}`, 400, `unknown field "pubkey", want pubkeys`},

		{routes.RouteApproveConfig, `{"label": "x"}`, 400, "digest: is missing"},
		{routes.RouteApproveConfig, `{"digest": "ab"}`, 400, "want SHA-384 in 96 hexadecimal digits"},
		{routes.RouteRevokeConfig, `{"digest": "` + missing + `"}`, 400, "is not approved"},
		{routes.RouteRevokeConfig, `{"digest": ""}`, 400, "is this replica's own"},

		{routes.RouteImport, `{"keystores": []}`, 400, "passwords: is missing"},
		{routes.RouteImport, `{"keystores": [], "passwords": []}`, 400, "keystores: is empty"},
		{routes.RouteImport, `{"keystores": ["{}"], "passwords": []}`, 400, "passwords: has 0, and there are 1 keystores"},
		{routes.RouteImport, `{"keystores": [{}], "passwords": [""]}`, 400, "keystores: want an array of EIP-2335 keystores, each in a string"},
		{routes.RouteImport, encode(map[string]any{"keystores": make([]string, 101), "passwords": make([]string, 101)}), 400, "keystores: has 101 keystores, more than 100"},
	} {
		d.refused(test.route+" "+test.body[:min(len(test.body), 80)], d.ask("POST", test.route, d.root, test.body), test.code, test.want)
	}
	d.refused("backup", d.ask("GET", routes.RouteBackup+"?x", d.root, ""), 400, "there are no parameters")
	if now := d.Chamber.Status(); now.Version != version || now.State != chamber.Unsealed {
		t.Errorf("a refused call changed something: %+v", now)
	}
}

func TestInitRefuses(t *testing.T) {
	pinned := hex.EncodeToString(make([]byte, 16))
	for name, test := range map[string]struct {
		with       func(*chamber.Options, *routes.Options)
		body       string
		code       int
		want       string
		deny, into bool
	}{
		"another KMS key": {nil, initBody(1, chambertest.ARN(9)), 403, "is not in chamber.kms_key_arns", false, false},
		"threshold 0":     {nil, initBody(0, chambertest.ARN(1)), 400, "threshold 0 of 1 KMS keys", false, false},
		"an alias":        {nil, initBody(1, "alias/x"), 400, "kms_key_arns[0]", false, false},
		"a bad token":     {nil, strings.Replace(initBody(1, chambertest.ARN(1)), "{", `{"root_token": "x",`, 1), 400, "a root token is cc-root-", false, false},
		"pinned":          {func(o *chamber.Options, _ *routes.Options) { o.PinnedID = pinned }, initBody(1, chambertest.ARN(1)), 403, "`chamber.id` is " + pinned, false, false},
		"KMS denies":      {nil, initBody(1, chambertest.ARN(1)), 503, "access is denied", true, false},
		"another replica": {nil, initBody(1, chambertest.ARN(1)), 409, "the chamber is initialized already", false, true},
		"no slashing store": {func(o *chamber.Options, _ *routes.Options) {
			o.SlashingStore = func(context.Context) (string, error) { return "", errors.New("no route to it") }
		}, initBody(1, chambertest.ARN(1)), 503, "no route to it", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, &chambertest.World{}, test.with)
			if test.deny {
				d.world.KMS.Deny(chambertest.ARN(1))
			}
			if test.into {
				if _, err := newDesk(t, d.world, nil).Chamber.Init(t.Context(), chamber.InitRequest{KeyARNs: chambertest.ARNs(1), Threshold: 1}); err != nil {
					t.Fatal(err)
				}
			}
			d.refused(name, d.ask("POST", routes.RouteInit, d.Chamber.SetupToken(), test.body), test.code, test.want)
			if !test.into && d.Chamber.Status().State != chamber.Uninitialized {
				t.Errorf("it is %v", d.Chamber.Status().State)
			}
		})
	}
}

// wrong is the status of a call with a token before there is a chamber: nobody can tell whose it is.
func wrong(route string) int {
	if route == routes.RouteUnseal {
		return 409
	}
	return 503
}

// TestWrongStates: what cannot be done now is 409 or 503, and says why.
func TestWrongStates(t *testing.T) {
	fresh := newDesk(t, &chambertest.World{}, nil)
	d := initialized(t, nil)
	d.post(routes.RouteSeal, "")
	for _, pattern := range rooted {
		method, route, _ := strings.Cut(pattern, " ")
		fresh.refused(pattern, fresh.ask(method, route, chamber.NewRootToken(), ""), wrong(route), "not initialized")
		if route != routes.RouteUnseal {
			d.refused(pattern, d.ask(method, route, d.root, ""), 503, "sealed by an operator")
		}
	}
	d.world.KMS.Deny(chambertest.ARNs(1, 2)...)
	d.refused("two of three KMS keys down", d.ask("POST", routes.RouteUnseal, d.root, ""), 503, "1 of 3 shares could be opened, 2 are needed: share 1 ("+chambertest.ARN(1))
	d.world.KMS.Deny()
	d.refused("another token", d.ask("POST", routes.RouteUnseal, chamber.NewRootToken(), ""), 401, "the token is not valid")
	if s := d.Chamber.Status(); s.State != chamber.Sealed {
		t.Errorf("it is %v", s.State)
	}
	d.post(routes.RouteUnseal, "")
	d.world.KMS.Deny(chambertest.ARN(4))
	d.refused("a KMS key that is denied", d.ask("POST", routes.RouteRotateKMS, d.root, initBody(1, chambertest.ARNs(4, 5)...)), 503, "access is denied")
}
