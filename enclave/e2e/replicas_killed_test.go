package e2e

import (
	"net/http"
	"path/filepath"
	"regexp"
	"testing"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
)

var rootToken = regexp.MustCompile(`cc-root-[A-Z2-7]{52}`)

// testKilledInit: there is no chamber, and the same order makes one; or there is one, which unseals itself, and the operator was told its root
// token.
func testKilledInit(t *testing.T, x *crashSite) {
	for p := (point{n: 1}); ; p = p.next() {
		x.stores = x.fresh(t)
		r := x.signer(t, "signer")
		r.await(t, "uninitialized", inState(chamberUninitialized))
		killed, said := x.crashes(t, r, &p, initializes("2")...)
		if !killed {
			x.enough(t, p)
			return
		}
		r.start(t)
		now := r.await(t, "what it is", settled(0))
		if now.Seal.Status == chamberUninitialized {
			var made routes.Initialized
			x.operator(t, r, initializes("2")...).does(t, &made)
			x.root = made.RootToken
		} else {
			x.operator(t, r, initializes("2")...).refused(t, "it was used to initialize the chamber (status 401)")
			said.refused(t, "it is not known whether the chamber was initialized")
			x.root = rootToken.FindString(said.stderr)
		}
		t.Logf("killed %s: %s", p, now.Seal.Status)
		x.operator(t, r, "generate-root-token").does(t, nil)
		r.signs(t, x.imports(t, r, 1)...)
		r.kill(t)
	}
}

// enough makes sure that the calls were counted.
func (x *crashSite) enough(t *testing.T, p point) {
	t.Helper()
	if p.n <= x.least {
		t.Fatalf("only %d calls were held, want at least %d", p.n-1, x.least)
	}
	t.Logf("%d calls", p.n-1)
}

// initialized is a signer of a chamber with two stored keys, the second of which is frozen.
func (x *crashSite) initialized(t *testing.T) (*chamberSigner, []*validator) {
	t.Helper()
	r := x.signer(t, "signer")
	r.await(t, "uninitialized", inState(chamberUninitialized))
	var made routes.Initialized
	x.operator(t, r, initializes("2")...).does(t, &made)
	x.root = made.RootToken
	keys := x.imports(t, r, 1, 2)
	r.await(t, "its keys", usable(2))
	file := filepath.Join(x.dir, "frozen.txt")
	writeFile(t, file, keys[1].key.String()+"\n")
	x.operator(t, r, "freeze", "--pubkeys", file).does(t, nil)
	return r, keys
}

// works makes sure that a signer signs with the key that is not frozen, and not with the one that is.
func works(t *testing.T, r *chamberSigner, keys []*validator) {
	t.Helper()
	r.signs(t, keys[0])
	r.refuses(t, keys[1], http.StatusForbidden, "frozen by an operator")
}

// testKilledRotateKMS: the shares are the old ones or the new ones, and the same order makes them the new ones.
func testKilledRotateKMS(t *testing.T, x *crashSite) {
	r, keys := x.initialized(t)
	for p := (point{n: 1}); ; p = p.next() {
		before := r.await(t, "unsealed", inState(chamberUnsealed)).Seal
		threshold := 5 - before.Threshold
		order := rotatesKMS(map[int]string{2: "2", 3: "3"}[threshold])
		killed, _ := x.crashes(t, r, &p, order...)
		if !killed {
			x.enough(t, p)
			return
		}
		r.start(t)
		now := r.await(t, "what it is", settled(2)).Seal
		old := now.Version == before.Version && now.Threshold == before.Threshold
		if now.Status != chamberUnsealed || !old && (now.Version != before.Version+1 || now.Threshold != threshold) {
			t.Fatalf("killed %s: it was %+v, and is %s %+v", p, before.Chamber, now.Status, now.Chamber)
		}
		t.Logf("killed %s: threshold %d, which was to go from %d to %d", p, now.Threshold, before.Threshold, threshold)
		works(t, r, keys)
		x.operator(t, r, order...).does(t, nil)
		r.await(t, "the new threshold", func(s operator.Status) bool { return s.Seal.Threshold == threshold })
		works(t, r, keys)
	}
}

// testKilledRotateMaster: the rotation is not begun, or it goes on with the same order, or it is done. Keys sign in any case.
func testKilledRotateMaster(t *testing.T, x *crashSite) {
	r, keys := x.initialized(t)
	for p := (point{n: 1}); ; p = p.next() {
		before := r.await(t, "unsealed", inState(chamberUnsealed)).Seal
		killed, _ := x.crashes(t, r, &p, "rotate", "master-key", "--yes")
		if !killed {
			x.enough(t, p)
			return
		}
		r.start(t)
		now := r.await(t, "what it is", settled(2)).Seal
		works(t, r, keys)
		generation := before.Generation + 1
		switch {
		case now.Status == chamberUnsealed && now.ID == before.ID && now.Generation == before.Generation: // not begun
		case now.Status == chamberRotating && now.ID != before.ID && now.PreviousID == before.ID && now.Generation == generation: // goes on
		case now.Status == chamberUnsealed && now.ID != before.ID && now.PreviousID == "" && now.Generation == generation: // done
			generation++
		default:
			t.Fatalf("killed %s: it was %+v, and is %s %+v", p, before.Chamber, now.Status, now.Chamber)
		}
		t.Logf("killed %s: %s, master key %d, which was %d", p, now.Status, now.Generation, before.Generation)
		var done routes.Done
		x.operator(t, r, "rotate", "master-key", "--yes").does(t, &done)
		after := r.await(t, "the new master key", func(s operator.Status) bool { return s.Seal.Generation == generation }).Seal
		if after.Status != chamberUnsealed || after.ID != done.ChamberID || after.PreviousID != "" || after.FrozenKeys != 1 {
			t.Fatalf("killed %s, and asked again: %s %+v", p, after.Status, after.Chamber)
		}
		works(t, r, keys)
	}
}
