package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var mine, other = bls.PublicKey{1}, bls.PublicKey{2}

func checkRefusal(t *testing.T, err error, kind problem.Kind, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if p := problem.Of(err); err == nil || p.Kind != kind || !strings.Contains(p.Public, want) {
		t.Errorf("%v (%v), want %v with %q", err, p.Kind, kind, want)
	}
}

func TestGrantIsForOneKeyAndOneKind(t *testing.T) {
	open, err := authtest.Open().Grant(mine, eth2.Attestation)
	if err != nil {
		t.Fatal(err)
	}
	if open.Key() != mine {
		t.Errorf("Key() = %s, want %s", open.Key(), mine)
	}
	for _, tc := range []struct {
		name  string
		grant auth.Grant
		key   bls.PublicKey
		kind  eth2.Kind
		want  string // "" means allowed
	}{
		{"as granted", open, mine, eth2.Attestation, ""},
		{"another key", open, other, eth2.Attestation, "granted for another key than " + other.String()},
		{"another kind", open, mine, eth2.Block, "granted for another kind of request"},
		{"no kind", open, mine, 0, "nothing was granted"},
		{"zero grant", auth.Grant{}, mine, eth2.Attestation, "nothing was granted"},
		{"zero grant, zero question", auth.Grant{}, bls.PublicKey{}, 0, "nothing was granted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkRefusal(t, tc.grant.Allows(tc.key, tc.kind), problem.Forbidden, tc.want)
		})
	}
}

// TestWhoMayDoWhat is the table of callers and calls: 200 is allowed, 401 is not known, 403 is known and may not.
func TestWhoMayDoWhat(t *testing.T) {
	callers := map[string]auth.Caller{
		"zero":       {},
		"nobody":     authtest.Anonymous(),
		"open":       authtest.New(auth.Options{Open: true}).Identify(auth.Credential{}),
		"open exits": authtest.Open(),
		"management": authtest.Management(),
		"setup":      authtest.Setup(),
		"duties":     authtest.Client(auth.Rule{Effect: auth.Allow}),
		"exits":      authtest.Client(auth.Rule{Effect: auth.Allow, Operations: []string{"VOLUNTARY_EXIT"}}),
		"one key":    authtest.Client(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{auth.Sign, auth.ListKeys}, Keys: []string{mine.String()}}),
		"all but":    authtest.Client(auth.Rule{Effect: auth.Allow, Scopes: auth.Scopes()}, auth.Rule{Effect: auth.Deny, Keys: []string{other.String()}}, auth.Rule{Effect: auth.Deny, Scopes: []auth.Scope{auth.Reload}}),
		"lists":      authtest.With(auth.PublicKeys),
		"deny wins":  authtest.Client(auth.Rule{Effect: auth.Deny}, auth.Rule{Effect: auth.Allow}),
		"only deny":  authtest.Client(auth.Rule{Effect: auth.Deny, Operations: []string{"DEPOSIT"}}),
		"not listed": authtest.Client(auth.Rule{Effect: auth.Allow}, auth.Rule{Effect: auth.Deny, Scopes: []auth.Scope{auth.Sign}, Keys: []string{other.String()}}),
		"no blocks":  authtest.Client(auth.Rule{Effect: auth.Allow}, auth.Rule{Effect: auth.Deny, Operations: []string{"BLOCK_V2"}}),
	}
	type ask func(auth.Caller) error
	sign := func(key bls.PublicKey, kind eth2.Kind) ask {
		return func(c auth.Caller) error { _, err := c.Grant(key, kind); return err }
	}
	may := func(s auth.Scope) ask { return func(c auth.Caller) error { return c.May(s) } }
	mayFor := func(s auth.Scope, key bls.PublicKey) ask {
		return func(c auth.Caller) error { return c.MayFor(s, key) }
	}
	order := []string{"zero", "nobody", "open", "open exits", "management", "setup", "duties", "exits", "one key", "all but", "lists", "deny wins", "only deny", "no blocks", "not listed"}
	for _, tc := range []struct {
		what string
		ask  ask
		want string // statuses of the callers in their order
	}{
		{"vote", sign(mine, eth2.Attestation), "401 401 200 200 403 403 200 403 200 200 403 403 403 200 200"},
		{"vote of another key", sign(other, eth2.Attestation), "401 401 200 200 403 403 200 403 403 403 403 403 403 200 403"},
		{"block", sign(mine, eth2.Block), "401 401 200 200 403 403 200 403 200 200 403 403 403 403 200"},
		{"exit", sign(mine, eth2.VoluntaryExit), "401 401 401 200 403 403 403 200 403 403 403 403 403 403 403"},
		{"deposit", sign(mine, eth2.Deposit), "401 401 401 200 403 403 403 403 403 403 403 403 403 403 403"},
		{"no kind", sign(mine, 0), "403 403 403 403 403 403 403 403 403 403 403 403 403 403 403"},
		{"public keys", may(auth.PublicKeys), "401 401 200 200 403 403 200 200 200 200 200 403 403 200 200"},
		{"public key", mayFor(auth.PublicKeys, other), "401 401 200 200 403 403 200 200 403 403 200 403 403 200 403"},
		{"list of keys", may(auth.ListKeys), "401 401 401 401 200 403 403 403 200 200 403 403 403 403 403"},
		{"list of another key", mayFor(auth.ListKeys, other), "401 401 401 401 200 403 403 403 403 403 403 403 403 403 403"},
		{"reload", may(auth.Reload), "401 401 401 401 200 403 403 403 403 403 403 403 403 403 403"},
		{"import", may(auth.ImportKeystores), "401 401 401 401 200 403 403 403 403 200 403 403 403 403 403"},
		{"seal", may(auth.ChamberSeal), "401 401 401 401 200 403 403 403 403 200 403 403 403 403 403"},
		{"status", may(auth.ChamberStatus), "401 401 401 401 200 403 403 403 403 200 403 403 403 403 403"},
		{"slashing", may(auth.SlashingWrite), "401 401 401 401 200 403 403 403 403 200 403 403 403 403 403"},
		{"policies", auth.Caller.Manages, "401 401 401 401 200 401 403 403 403 403 403 403 403 403 403"},
		{"init", auth.Caller.SetsUp, "401 401 401 401 403 200 403 403 403 403 403 403 403 403 403"},
	} {
		var got []string
		for _, name := range order {
			status := 200
			if err := tc.ask(callers[name]); err != nil {
				status = problem.Of(err).Kind.Status()
			}
			got = append(got, fmt.Sprint(status))
		}
		if all := strings.Join(got, " "); all != tc.want {
			t.Errorf("%s:\n%v\ngot  %s\nwant %s", tc.what, order, all, tc.want)
		}
	}
}

func TestPolicyIsRefused(t *testing.T) {
	key := mine.String()
	for name, tc := range map[string]struct {
		policy auth.Policy
		want   string
	}{
		"no name":          {auth.Policy{Rules: []auth.Rule{{Effect: auth.Allow}}}, "name"},
		"name of a path":   {auth.Policy{Name: "../x", Rules: []auth.Rule{{Effect: auth.Allow}}}, `name "../x"`},
		"no rules":         {auth.Policy{Name: "p"}, "has 0 rules"},
		"no effect":        {rules(auth.Rule{}), "rules[0]: effect"},
		"unknown scope":    {rules(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{"sing"}}), `scopes[0]: "sing" is no scope, want sign`},
		"scope twice":      {rules(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{auth.Sign, auth.Sign}}), "scopes[1]: sign is given twice"},
		"no scope at all":  {rules(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{}}), "scopes: is empty"},
		"no key at all":    {rules(auth.Rule{Effect: auth.Allow, Keys: []string{}}), "keys: is empty"},
		"short key":        {rules(auth.Rule{Effect: auth.Allow, Keys: []string{"0x00"}}), "keys[0]: public key is not 96"},
		"key twice":        {rules(auth.Rule{Effect: auth.Allow, Keys: []string{key, strings.ToUpper(key[2:])}}), "keys[1]"},
		"no operation":     {rules(auth.Rule{Effect: auth.Allow, Operations: []string{}}), "operations: is empty"},
		"unknown op":       {rules(auth.Rule{Effect: auth.Allow, Operations: []string{"EXIT"}}), `operations[0]: "EXIT" is not a known signing type`},
		"op without scope": {rules(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{auth.Reload}, Operations: []string{"DEPOSIT"}}), "operations are about sign alone"},
		"op of two scopes": {rules(auth.Rule{Effect: auth.Deny, Scopes: []auth.Scope{auth.Sign, auth.ChamberKeysDelete}, Operations: []string{"DEPOSIT"}}), "scopes[1]: operations are about sign alone"},
		"keys of a seal":   {rules(auth.Rule{Effect: auth.Allow, Scopes: []auth.Scope{auth.ChamberSeal}, Keys: []string{key}}), "keys say nothing of chamber_seal"},
		"keys of a record": {rules(auth.Rule{Effect: auth.Deny, Scopes: []auth.Scope{auth.SlashingWrite}, Keys: []string{key}}), "keys say nothing of slashing_write"},
	} {
		if err := tc.policy.Check(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func rules(r ...auth.Rule) auth.Policy { return auth.Policy{Name: "p", Rules: r} }

func TestRuleIsReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		`{"effect":"allow","key":["x"]}`:              "unknown field",
		`{"effect":"allow","Keys":["x"]}`:             "unknown field",
		`{"effect":"allow","keys":null}`:              "keys: is null",
		`{"effect":"deny","keys":["x"],"keys":["y"]}`: "keys: is given twice",
		`{"effect":"allow","keys":"x"}`:               "keys: want an array of strings",
		`{"effect":1}`:                                "effect: want a string",
		`[]`:                                          "a rule is an object",
	} {
		if err := new(auth.Rule).UnmarshalJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestClosed: while the master key is not there nobody can be told from anybody, which is no refusal for ever.
func TestClosed(t *testing.T) {
	keeper := &authtest.Keeper{Closed: errors.New("the chamber is sealed")}
	p := authtest.New(auth.Options{Keeper: keeper, Open: true})
	for _, token := range []string{authtest.ManagementToken, auth.ClientPrefix + "0123456789abcdef-" + strings.Repeat("A", 52)} {
		c := p.Identify(auth.Credential{Token: token})
		checkRefusal(t, c.May(auth.ChamberSeal), problem.Sealed, "cannot tell who you are: the chamber is sealed")
		_, err := c.Grant(mine, eth2.Attestation)
		checkRefusal(t, err, problem.Sealed, "cannot tell who you are")
	}
	_, err := p.Identify(auth.Credential{}).Grant(mine, eth2.Attestation)
	checkRefusal(t, err, 0, "")
}
