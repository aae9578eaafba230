package terraform_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	slashingtable "github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
	stores "github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
)

// example is what the example "enclave" gives: policies of its role and its slashing user, and the ARNs of its tables.
type example struct {
	signer, slashing string
	arn              map[string]string
}

func examples(t *testing.T) (e example) {
	t.Helper()
	rendered(t, "policies-enclave", "signer_policy", &e.signer)
	rendered(t, "policies-enclave", "slashing_policy", &e.slashing)
	rendered(t, "policies-enclave", "arn", &e.arn)
	return e
}

// granted are the rights of DynamoDB that a policy gives, each as ACTION RESOURCE.
func granted(t *testing.T, text string) map[string]bool {
	t.Helper()
	var p struct {
		Statement []struct{ Action, Resource []string }
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	rights := map[string]bool{}
	for _, s := range p.Statement {
		for _, action := range s.Action {
			for _, resource := range s.Resource {
				if strings.HasPrefix(action, "dynamodb:") {
					rights[action+" "+resource] = true
				}
			}
		}
	}
	return rights
}

// TestSignersRole: the role may do what a signer does with the state and the stored keys, and no more.
func TestSignersRole(t *testing.T) {
	e := examples(t)
	state, url := newGuard(t, e.signer, e.arn["state"])
	callState(t, opened(t, stores.OpenState, behind(newTable(t, "state"), url)))
	keys, url := newGuard(t, e.signer, e.arn["keys"])
	callKeys(t, opened(t, stores.OpenKeys, behind(newTable(t, "keys"), url)))
	exact(t, e.signer, state, keys)
}

// TestSlashingUser: the user may do what a signer does with the slashing record, and no more.
func TestSlashingUser(t *testing.T) {
	e := examples(t)
	user, url := newGuard(t, e.slashing, e.arn["slashing"])
	callLedger(t, opened(t, slashingtable.Open, behind(newTable(t, "slashing"), url)))
	exact(t, e.slashing, user)
}

// exact fails if a right that was given was not used, or one was wanted that was not given.
func exact(t *testing.T, policy string, guards ...*guard) {
	t.Helper()
	used := map[string]bool{}
	for _, g := range guards {
		g.mu.Lock()
		maps.Copy(used, g.used)
		if len(g.denied) > 0 {
			t.Errorf("denied: %v", slices.Compact(slices.Sorted(slices.Values(g.denied))))
		}
		g.mu.Unlock()
	}
	if diff := cmp.Diff(granted(t, policy), used); diff != "" {
		t.Errorf("given (-) and used (+):\n%s", diff)
	}
}

// TestRightsOfOthers: neither the role nor the user opens what is the other's, and the role neither makes nor counts a table.
func TestRightsOfOthers(t *testing.T) {
	e := examples(t)
	for _, tc := range []struct {
		name, policy, table string
		open                func(t *testing.T, url string) error
	}{
		{"the role opens the slashing record", e.signer, "slashing", func(t *testing.T, url string) error {
			_, err := slashingtable.Open(t.Context(), behind(newTable(t, "slashing"), url))
			return err
		}},
		{"the user opens the state", e.slashing, "state", func(t *testing.T, url string) error {
			_, err := stores.OpenState(t.Context(), behind(newTable(t, "state"), url))
			return err
		}},
		{"the user opens the keys", e.slashing, "keys", func(t *testing.T, url string) error {
			_, err := stores.OpenKeys(t.Context(), behind(newTable(t, "keys"), url))
			return err
		}},
		{"the role makes a table", e.signer, "state", func(t *testing.T, url string) error {
			return stores.MakeState(t.Context(), behind(options(shared.TableName()), url))
		}},
		{"the user makes a table", e.slashing, "slashing", func(t *testing.T, url string) error {
			return slashingtable.Make(t.Context(), behind(options(shared.TableName()), url))
		}},
		{"the role counts keys", e.signer, "keys", func(t *testing.T, url string) error {
			return stores.RecountKeys(t.Context(), behind(newTable(t, "keys"), url))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, url := newGuard(t, tc.policy, e.arn[tc.table])
			if err := tc.open(t, url); err == nil || len(g.denied) == 0 || !strings.Contains(err.Error(), "the credentials need") && !strings.Contains(err.Error(), "AccessDenied") {
				t.Errorf("%v; denied: %v", err, g.denied)
			}
		})
	}
}

// opened opens a store, and closes it when the test ends.
func opened[S interface{ Close() error }, O any](t *testing.T, open func(ctx context.Context, o O) (S, error), o O) S {
	t.Helper()
	s, err := open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
