package auth_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// desk is policies on a keeper in memory, with a clock.
type desk struct {
	*auth.Policies
	t   *testing.T
	now time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, now: time.Unix(1_800_000_000, 0)}
	d.Policies = authtest.New(auth.Options{Keeper: &authtest.Keeper{}, Now: func() time.Time { return d.now }})
	if err := d.PutPolicy(t.Context(), auth.Policy{Name: "seal", Rules: []auth.Rule{{Effect: auth.Allow, Scopes: []auth.Scope{auth.ChamberSeal}}}}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) create(w auth.Wanted) (string, auth.Token) {
	d.t.Helper()
	if w.Policies == nil {
		w.Policies = []string{"seal"}
	}
	secret, token, err := d.CreateToken(d.t.Context(), w)
	if err != nil {
		d.t.Fatal(err)
	}
	return secret, token
}

// may fails the test unless a token is taken, or not.
func (d *desk) may(what, secret string, want bool) {
	d.t.Helper()
	err := d.Identify(auth.Credential{Token: secret}).May(auth.ChamberSeal)
	if (err == nil) != want || !want && problem.Of(err).Kind != problem.Unauthenticated {
		d.t.Errorf("%s: %v, want it taken: %v", what, err, want)
	}
}

func TestTokenLife(t *testing.T) {
	d := newDesk(t)
	secret, token := d.create(auth.Wanted{Name: "a", Lifetime: time.Hour})
	if !strings.HasPrefix(secret, auth.ClientPrefix+token.ID+"-") || strings.ContainsFunc(secret, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		t.Errorf("secret %q", secret)
	}
	if !token.Expires.Equal(d.now.Add(time.Hour)) {
		t.Errorf("expires %v", token.Expires)
	}
	all, err := d.Tokens()
	if err != nil || len(all) != 1 || !all[0].LastUsed.IsZero() {
		t.Errorf("before it is used: %+v, %v", all, err)
	}
	d.may("a new one", secret, true)
	d.now = d.now.Add(time.Hour - time.Second)
	d.may("a second before its end", secret, true)
	if all, _ := d.Tokens(); !all[0].LastUsed.Equal(d.now) {
		t.Errorf("last used %v, want %v", all[0].LastUsed, d.now)
	}
	d.now = d.now.Add(time.Second)
	d.may("at its end", secret, false)
	d.now = d.now.Add(25 * time.Hour)
	_, next := d.create(auth.Wanted{Name: "b"})
	if all, _ := d.Tokens(); len(all) != 1 || all[0].ID != next.ID {
		t.Errorf("long ended ones are kept: %+v", all)
	}
}

func TestRotateToken(t *testing.T) {
	d := newDesk(t)
	first, token := d.create(auth.Wanted{Name: "a"})
	second, rotated, err := d.RotateToken(t.Context(), token.ID, time.Minute)
	if err != nil || second == first || !rotated.RotatedUntil.Equal(d.now.Add(time.Minute)) {
		t.Fatalf("%+v, %v", rotated, err)
	}
	d.may("the old one beside the new", first, true)
	d.may("the new one", second, true)
	d.now = d.now.Add(time.Minute)
	d.may("the old one afterwards", first, false)
	third, _, err := d.RotateToken(t.Context(), token.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.may("the one before", second, false)
	d.may("without overlap", third, true)
	_, _, err = d.RotateToken(t.Context(), "0123456789abcdef", 0)
	if !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("one that there is not: %v", err)
	}
}

func TestRevokeToken(t *testing.T) {
	d := newDesk(t)
	secret, token := d.create(auth.Wanted{Name: "a"})
	kept, _ := d.create(auth.Wanted{Name: "b"})
	if err := d.RevokeToken(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	d.may("revoked", secret, false)
	d.may("another", kept, true)
	if err := d.RevokeToken(t.Context(), token.ID); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
	if err := d.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.may("after a reset", kept, false)
}

// TestPolicyChanges reach the tokens that have it.
func TestPolicyChanges(t *testing.T) {
	d := newDesk(t)
	secret, _ := d.create(auth.Wanted{Name: "a"})
	if err := d.DeletePolicy(t.Context(), "seal"); !errors.Is(err, auth.ErrInUse) {
		t.Errorf("one in use: %v", err)
	}
	if err := d.PutPolicy(t.Context(), auth.Policy{Name: "seal", Rules: []auth.Rule{{Effect: auth.Allow}}}); err != nil {
		t.Fatal(err)
	}
	if err := d.Identify(auth.Credential{Token: secret}).May(auth.ChamberSeal); problem.Of(err).Kind != problem.Forbidden {
		t.Errorf("after the scope is gone: %v, want forbidden", err)
	}
	if err := d.DeletePolicy(t.Context(), "none"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("one that there is not: %v", err)
	}
	for what, w := range map[string]auth.Wanted{
		"no policies":      {Name: "a", Policies: []string{}},
		"unknown policy":   {Name: "a", Policies: []string{"none"}},
		"policy twice":     {Name: "a", Policies: []string{"seal", "seal"}},
		"no name":          {Policies: []string{"seal"}},
		"negative":         {Name: "a", Policies: []string{"seal"}, Lifetime: -1},
		"for ages":         {Name: "a", Policies: []string{"seal"}, Lifetime: 1 << 62},
		"SPKI":             {Name: "a", Policies: []string{"seal"}, SPKI: "00"},
		"SPKI and subject": {Name: "a", Policies: []string{"seal"}, SPKI: strings.Repeat("0", 64), Subject: "CN=x"},
		"subject alone":    {Name: "a", Policies: []string{"seal"}, Subject: "CN=x"},
		"authority alone":  {Name: "a", Policies: []string{"seal"}, CAPEM: "x"},
	} {
		if _, _, err := d.CreateToken(t.Context(), w); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestGuesses: what looks like a token, and is none.
func TestGuesses(t *testing.T) {
	d := newDesk(t)
	secret, token := d.create(auth.Wanted{Name: "a"})
	other, _ := d.create(auth.Wanted{Name: "b"})
	for what, guess := range map[string]string{
		"lower case":             strings.ToLower(secret),
		"cut":                    secret[:len(secret)-1],
		"longer":                 secret + "A",
		"secret of another id":   auth.ClientPrefix + token.ID + other[strings.LastIndex(other, "-"):],
		"unknown id":             auth.ClientPrefix + "0000000000000000" + secret[strings.LastIndex(secret, "-"):],
		"no secret":              auth.ClientPrefix + token.ID + "-",
		"management prefix":      auth.ManagementPrefix + secret,
		"the id":                 token.ID,
		"setup after the setup":  auth.SetupPrefix + "x",
		"something else":         "hunter2hunter2hunter2",
		"a policy's name":        "seal",
		"the management token's": authtest.ManagementToken[:len(authtest.ManagementToken)-1],
	} {
		d.may(what, guess, false)
	}
	d.may("the right one", secret, true)
}

// TestRevokeRace: from the moment that a revocation has returned the token is refused, whatever goes on.
func TestRevokeRace(t *testing.T) {
	d := newDesk(t)
	stop := make(chan struct{})
	var busy sync.WaitGroup
	noise, _ := d.create(auth.Wanted{Name: "noise"})
	for range 4 {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					d.may("another token meanwhile", noise, true)
				}
			}
		})
	}
	for range 50 {
		secret, token := d.create(auth.Wanted{Name: "a"})
		d.may("a new one", secret, true)
		var users sync.WaitGroup
		for range 4 {
			users.Go(func() {
				for d.Identify(auth.Credential{Token: secret}).May(auth.ChamberSeal) == nil {
				}
			})
		}
		if err := d.RevokeToken(t.Context(), token.ID); err != nil {
			t.Fatal(err)
		}
		d.may("after its revocation", secret, false)
		users.Wait()
	}
	close(stop)
	busy.Wait()
}

func TestWithoutAKeeper(t *testing.T) {
	p := authtest.New(auth.Options{Open: true})
	if _, err := p.Tokens(); !errors.Is(err, auth.ErrNoKeeper) {
		t.Errorf("Tokens: %v", err)
	}
	if _, err := p.Policies(); !errors.Is(err, auth.ErrNoKeeper) {
		t.Errorf("Policies: %v", err)
	}
	if err := errors.Join(p.PutPolicy(t.Context(), auth.Policy{Name: "p", Rules: []auth.Rule{{Effect: auth.Allow}}}), p.Reset(t.Context())); !errors.Is(err, auth.ErrNoKeeper) {
		t.Errorf("changes: %v", err)
	}
	// There can be no token: one that a client sends for somebody before us says nothing.
	if c := p.Identify(auth.Credential{Token: "for-a-proxy"}); c.Refused() != nil || c.May(auth.PublicKeys) != nil || c.May(auth.Reload) == nil {
		t.Errorf("a token where there are none: %v", c)
	}
	closed := authtest.New(auth.Options{})
	if err := closed.Identify(auth.Credential{Token: "x"}).May(auth.PublicKeys); problem.Of(err).Kind != problem.Unauthenticated {
		t.Errorf("closed, without anything: %v", err)
	}
}
