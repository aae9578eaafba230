package e2e

import (
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
)

// chamberRefresh is the interval in seconds at which replicas look for what others have done: the smallest there is.
const chamberRefresh = 1

// TestReplicas: what an operator has one of two processes do, the other follows by itself, whatever store they share.
func TestReplicas(t *testing.T) {
	if testing.Short() { // databases are services
		return
	}
	servers := startChamberServers(t)
	var running sync.WaitGroup // a rotation mostly waits, whatever -parallel is
	for name, stores := range map[string]func(*testing.T) chamberStores{"postgres": servers.postgres, "dynamodb": servers.dynamodb, "sqlite": servers.sqlite} {
		for what, test := range map[string]func(*testing.T, *chamberSite){"orders": testReplicasFollow, "master key": testReplicasRotate} {
			running.Go(func() {
				t.Run(name+" "+what, func(t *testing.T) {
					s := newChamberSite(t, func(h http.Handler) http.Handler { return h })
					s.refresh, s.stores = chamberRefresh, stores(t)
					test(t, s)
				})
			})
		}
	}
	running.Wait()
}

func testReplicasFollow(t *testing.T, s *chamberSite) {
	a, b := s.signer(t, "a"), s.signer(t, "b")
	a.await(t, "uninitialized", inState(chamberUninitialized))
	b.await(t, "uninitialized", inState(chamberUninitialized))
	var made routes.Initialized
	s.operator(t, a, initializes("2")...).does(t, &made)
	s.root = made.RootToken
	first := b.follows(t, s, "init", inState(chamberUnsealed))
	if first.Seal.ID != made.ChamberID || first.Seal.Threshold != 2 {
		t.Fatalf("b has another chamber than %s: %+v", made.ChamberID, first.Seal.Chamber)
	}
	keys := s.imports(t, a, 1, 2)
	b.follows(t, s, "an import", usable(2))
	b.signs(t, keys...)
	a.signs(t, keys...)

	testReplicasFreeze(t, s, a, b, keys)
	testReplicasTokens(t, s, a, b)
	testReplicasCompete(t, s, a, b)

	var done routes.Done
	s.operator(t, a, rotatesKMS("3")...).does(t, &done)
	b.follows(t, s, "rotate kms", func(now operator.Status) bool { return now.Seal.Version == done.Version && now.Seal.Threshold == 3 })
	b.signs(t, keys...)
	b.kill(t)
	b.start(t)
	b.await(t, "that it has unsealed itself by the new shares", usable(2))
	b.signs(t, keys...)

	s.operator(t, a, "seal", "--yes").does(t, &done)
	a.refuses(t, keys[0], http.StatusServiceUnavailable, "the signer is sealed")
	b.follows(t, s, "seal", func(now operator.Status) bool { return now.Seal.Status == chamberSealed && now.Seal.SealedByOperator })
	b.refuses(t, keys[0], http.StatusServiceUnavailable, "the signer is sealed")
	b.reveals(t, keys[0], http.StatusServiceUnavailable)
	s.operator(t, b, "unseal").does(t, &done)
	a.follows(t, s, "unseal", inState(chamberUnsealed))
	a.await(t, "that its keys are there again", usable(2))
	a.signs(t, keys...)
}

// testReplicasFreeze: what is frozen on one replica signs nothing that can be slashed on the other, and all else.
func testReplicasFreeze(t *testing.T, s *chamberSite, a, b *chamberSigner, keys []*validator) {
	t.Helper()
	file := filepath.Join(s.dir, "frozen.txt")
	writeFile(t, file, keys[0].key.String()+"\n")
	s.operator(t, a, "freeze", "--pubkeys", file).does(t, nil)
	b.follows(t, s, "the freeze of one key", func(now operator.Status) bool { return now.Seal.Frozen == "keys" && now.Seal.FrozenKeys == 1 })
	b.refuses(t, keys[0], http.StatusForbidden, "frozen by an operator")
	b.reveals(t, keys[0], http.StatusOK)
	b.signs(t, keys[1])
	s.operator(t, b, "freeze").does(t, nil)
	a.follows(t, s, "freeze", func(now operator.Status) bool { return now.Seal.Frozen == "all" })
	for _, v := range keys {
		a.refuses(t, v, http.StatusForbidden, "frozen by an operator")
		a.reveals(t, v, http.StatusOK)
	}
	s.operator(t, a, "unfreeze").does(t, nil)
	b.follows(t, s, "unfreeze", func(now operator.Status) bool { return now.Seal.Frozen == "none" })
	b.signs(t, keys...)
}

// testReplicasCompete: of changes that both replicas make at once none is lost.
func testReplicasCompete(t *testing.T, s *chamberSite, a, b *chamberSigner) {
	t.Helper()
	before := a.await(t, "its version", inState(chamberUnsealed)).Seal
	var all []order
	for range 3 {
		all = append(all, s.begin(t, a, "generate-root-token"), s.begin(t, b, "generate-root-token"))
	}
	tokens := map[string]bool{}
	for _, o := range all {
		var made routes.Token
		o.wait(t).does(t, &made)
		tokens[made.ID] = true
	}
	for _, r := range []*chamberSigner{a, b} {
		now := r.follows(t, s, "changes of both at once", func(now operator.Status) bool { return now.Seal.Version == before.Version+uint64(len(all)) }).Seal
		for _, k := range now.RootTokens {
			delete(tokens, k.ID)
		}
		if len(now.RootTokens) != len(before.RootTokens)+len(all) || len(tokens) != 0 {
			t.Fatalf("%s has tokens %+v, and not %v", r.name, now.RootTokens, tokens)
		}
	}
}

// testReplicasRotate: two replicas are asked for a chamber at once, and one makes it. Both sign while its master key is replaced.
func testReplicasRotate(t *testing.T, s *chamberSite) {
	a, b := s.signer(t, "a"), s.signer(t, "b")
	a.await(t, "uninitialized", inState(chamberUninitialized))
	b.await(t, "uninitialized", inState(chamberUninitialized))
	both := []order{s.begin(t, a, initializes("2")...), s.begin(t, b, initializes("2")...)}
	var made routes.Initialized
	for _, o := range both {
		done := o.wait(t)
		if done.code == 0 && made.RootToken == "" {
			done.does(t, &made)
		} else {
			done.refused(t, "initialize") // the setup token was used, or another replica was faster
		}
	}
	s.root = made.RootToken
	for _, r := range []*chamberSigner{a, b} {
		r.follows(t, s, "the init of one of two", func(now operator.Status) bool {
			return now.Seal.Status == chamberUnsealed && now.Seal.ID == made.ChamberID
		})
	}
	keys := s.imports(t, a, 1, 2)
	b.follows(t, s, "an import", usable(2))

	rotation := s.begin(t, b, "rotate", "master-key", "--yes")
	next := b.await(t, "that it rotates", inState(chamberRotating)).Seal
	a.follows(t, s, "the begin of rotate master-key", inState(chamberRotating))
	if next.PreviousID != made.ChamberID || next.ID == made.ChamberID {
		t.Fatalf("chamber %s after %s, which was %s", next.ID, next.PreviousID, made.ChamberID)
	}
	a.signs(t, keys...)
	b.signs(t, keys...)
	keys = append(keys, s.imports(t, a, 3)...)
	b.follows(t, s, "an import under the new master key", usable(3))
	b.signs(t, keys...)

	var done routes.Done
	rotation.wait(t).does(t, &done)
	now := a.follows(t, s, "the end of rotate master-key", inState(chamberUnsealed)).Seal
	if done.ChamberID != next.ID || now.ID != next.ID || now.PreviousID != "" || now.Generation != 2 || now.Version != done.Version {
		t.Fatalf("the other replica answered %+v, this one is %+v", done, now.Chamber)
	}
	a.signs(t, keys...)
	a.kill(t)
	a.start(t)
	a.await(t, "that it has unsealed itself with the new master key", usable(3))
	a.signs(t, keys...)
}
