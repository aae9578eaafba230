package auth_test

import (
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

func TestGrantIsForOneKeyAndOneKind(t *testing.T) {
	mine, other := bls.PublicKey{1}, bls.PublicKey{2}
	open, err := auth.Open().Grant("", mine, eth2.Attestation)
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

func TestPolicies(t *testing.T) {
	for _, tc := range []struct {
		name       string
		policies   *auth.Policies
		credential string
		kind       eth2.Kind
		refusal    problem.Kind
		want       string
	}{
		{"open lets everyone", auth.Open(), "anything", eth2.Deposit, 0, ""},
		{"open needs a kind", auth.Open(), "", 0, problem.Forbidden, "no kind of request named"},
		{"zero refuses without token", &auth.Policies{}, "", eth2.Block, problem.Unauthenticated, "a bearer token is needed"},
		{"zero refuses any token", &auth.Policies{}, "t", eth2.Block, problem.Unauthenticated, "the bearer token is not known"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			grant, err := tc.policies.Grant(tc.credential, bls.PublicKey{1}, tc.kind)
			checkRefusal(t, err, tc.refusal, tc.want)
			if err != nil && grant != (auth.Grant{}) {
				t.Error("a refusal came with a grant")
			}
		})
	}
}

func checkRefusal(t *testing.T, err error, kind problem.Kind, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	if err == nil {
		t.Fatalf("allowed, want %q", want)
	}
	if got := problem.Of(err); got.Kind != kind || got.Public != want {
		t.Errorf("refused as %v %q, want %v %q", got.Kind, got.Public, kind, want)
	}
}
