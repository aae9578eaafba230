package chamber_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

const sealing = `{"rules":[{"effect":"allow","scopes":["chamber_seal"]}]}`

// TestPoliciesAndTokens from the first to the last.
func TestPoliciesAndTokens(t *testing.T) {
	d := initialized(t, nil)
	var policy auth.Policy
	d.ok("PUT", routes.RoutePolicies+"/guards", d.root, sealing, &policy)
	var made routes.ClientToken
	d.ok("POST", routes.RouteTokens, d.root, `{"name":"pager","policies":["guards"],"lifetime_seconds":3600}`, &made)
	if made.Expires.Sub(made.Created).Hours() != 1 || !strings.HasPrefix(made.Secret, auth.ClientPrefix+made.ID) {
		t.Errorf("%+v", made)
	}
	d.ok("POST", routes.RouteFreeze, made.Secret, "", nil)
	d.refused("what no scope of its opens", d.ask("POST", routes.RouteUnfreeze, made.Secret, ""), 403, "is no management token")
	d.refused("another scope", d.ask("POST", routes.RouteRotateMaster, made.Secret, ""), 403, "no policy of token "+made.ID+" (pager) allows chamber_rotate")
	d.refused("its own policy", d.ask("PUT", routes.RoutePolicies+"/guards", made.Secret, sealing), 403, "is no management token")
	d.refused("in use", d.ask("DELETE", routes.RoutePolicies+"/guards", d.root, ""), 409, "in use by token "+made.ID)

	var rotated routes.ClientToken
	d.ok("POST", routes.RouteTokens+"/"+made.ID+"/rotate", d.root, "", &rotated)
	d.refused("the secret before", d.ask("POST", routes.RouteFreeze, made.Secret, ""), 401, "the token is not valid")
	d.ok("POST", routes.RouteFreeze, rotated.Secret, "", nil)

	var policies routes.Policies
	d.ok("GET", routes.RoutePolicies, d.root, "", &policies)
	want := []auth.Policy{{Name: "guards", Rules: []auth.Rule{{Effect: auth.Allow, Scopes: []auth.Scope{auth.ChamberSeal}}}}}
	if diff := cmp.Diff(want, policies.Data); diff != "" {
		t.Error(diff)
	}
	var tokens routes.Tokens
	d.ok("GET", routes.RouteTokens, d.root, "", &tokens)
	if len(tokens.Data) != 1 || tokens.Data[0].Name != "pager" || tokens.Data[0].LastUsed.IsZero() {
		t.Errorf("%+v", tokens)
	}
	var done routes.Changed
	d.ok("DELETE", routes.RouteTokens+"/"+made.ID, d.root, "", &done)
	d.refused("revoked", d.ask("POST", routes.RouteFreeze, rotated.Secret, ""), 401, "the token is not valid")
	d.refused("again", d.ask("DELETE", routes.RouteTokens+"/"+made.ID, d.root, ""), 404, "there is no such token")
	d.ok("DELETE", routes.RoutePolicies+"/guards", d.root, "", &done)
	d.refused("again", d.ask("DELETE", routes.RoutePolicies+"/guards", d.root, ""), 404, "there is no such policy")
	if text := encode(d.audited()); strings.Contains(text, rotated.Secret) || strings.Contains(text, made.Secret) || !strings.Contains(text, made.ID) {
		t.Errorf("lines %s", text)
	}
}

// TestPoliciesReachReplicas with their next look at the signer state, and outlive a rotation, a seal and a restart.
func TestPoliciesReachReplicas(t *testing.T) {
	d := initialized(t, nil)
	other := d.beside()
	var made routes.ClientToken
	d.ok("PUT", routes.RoutePolicies+"/guards", d.root, sealing, &auth.Policy{})
	d.ok("POST", routes.RouteTokens, d.root, `{"name":"pager","policies":["guards"]}`, &made)
	other.refused("before it looks", other.ask("POST", routes.RouteFreeze, made.Secret, ""), 401, "not valid")
	look := func() {
		t.Helper()
		if err := other.Chamber.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	other.ok("POST", routes.RouteFreeze, made.Secret, "", nil)
	d.post(routes.RouteRotateMaster, "")
	look()
	other.ok("POST", routes.RouteFreeze, made.Secret, "", nil)
	d.post(routes.RouteSeal, "")
	look()
	other.refused("sealed", other.ask("POST", routes.RouteFreeze, made.Secret, ""), 503, "cannot tell who you are")
	d.post(routes.RouteUnseal, "")
	restarted := d.beside()
	restarted.ok("POST", routes.RouteFreeze, made.Secret, "", nil)
	d.ok("DELETE", routes.RouteTokens+"/"+made.ID, d.root, "", &routes.Changed{})
	if err := restarted.Chamber.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	restarted.refused("after the revocation", restarted.ask("POST", routes.RouteFreeze, made.Secret, ""), 401, "not valid")
	d.ok("POST", routes.RouteResetAuth, d.root, "", &routes.Changed{})
	if _, err := restarted.Chamber.CheckRootToken(d.root); err != nil {
		t.Errorf("a root token after the reset: %v", err)
	}
}

func TestBadPolicies(t *testing.T) {
	d := initialized(t, nil)
	d.ok("PUT", routes.RoutePolicies+"/guards", d.root, sealing, &auth.Policy{})
	for _, c := range []struct {
		method, route, body string
		code                int
		want                string
	}{
		{"PUT", routes.RoutePolicies + "/p", "", 400, "rules: is missing"},
		{"PUT", routes.RoutePolicies + "/p", `{"rules":[]}`, 400, "has 0 rules"},
		{"PUT", routes.RoutePolicies + "/p", `{"rules":[{"effect":"allow","scope":["sign"]}]}`, 400, "rules: "},
		{"PUT", routes.RoutePolicies + "/p", `{"rules":[{"effect":"permit"}]}`, 400, "effect"},
		{"PUT", routes.RoutePolicies + "/p", `{"name":"q","rules":[{"effect":"allow"}]}`, 400, `unknown field "name"`},
		{"PUT", routes.RoutePolicies + "/%2e%2e%2fp", sealing, 400, "name"},
		{"PUT", routes.RoutePolicies + "/" + strings.Repeat("p", 65), sealing, 400, "name"},
		{"POST", routes.RouteTokens, `{"name":"a"}`, 400, "policies: is missing"},
		{"POST", routes.RouteTokens, `{"name":"a","policies":["none"]}`, 400, `there is no policy "none"`},
		{"POST", routes.RouteTokens, `{"name":"a b","policies":["guards"]}`, 400, "name"},
		{"POST", routes.RouteTokens, `{"name":"a","policies":["guards"],"lifetime_seconds":-1}`, 400, "lifetime_seconds: -1"},
		{"POST", routes.RouteTokens, `{"name":"a","policies":["guards"],"lifetime_seconds":1.5}`, 400, "lifetime_seconds: want"},
		{"POST", routes.RouteTokens, `{"name":"a","policies":["guards"],"spki_sha256":"x"}`, 400, "spki_sha256"},
		{"POST", routes.RouteTokens + "/0123456789abcdef/rotate", "", 404, "there is no such token"},
		{"POST", routes.RouteTokens + "/0123456789abcdef/rotate", `{"overlap_seconds":-1}`, 400, "overlap_seconds"},
		{"DELETE", routes.RouteTokens + "/cc-client-0123456789abcdef-SECRET", "", 400, "the token itself is not asked for"},
		{"GET", routes.RouteTokens + "?x=1", "", 400, "no parameters"},
		{"POST", routes.RouteResetAuth, `{"all":true}`, 400, "unknown field"},
	} {
		d.refused(c.method+" "+c.route+" "+c.body, d.ask(c.method, c.route, d.root, c.body), c.code, c.want)
	}
	if text := encode(d.audited()); strings.Contains(text, "SECRET") {
		t.Errorf("what was given in the place of an id is logged: %s", text)
	}
	var tokens routes.Tokens
	d.ok("GET", routes.RouteTokens, d.root, "", &tokens)
	if len(tokens.Data) != 0 {
		t.Errorf("%+v", tokens)
	}
	fresh := newDesk(t, &chambertest.World{}, nil)
	w := fresh.ask("GET", routes.RouteTokens, chamber.NewRootToken(), "")
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("without a chamber: %d", w.Code)
	}
}
