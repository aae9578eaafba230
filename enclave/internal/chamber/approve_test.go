package chamber

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// A configuration that was not approved gets no key, and says which would.
func TestApproveConfig(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	hostile := func(o *Options) { o.ConfigDigest = digest(digestB) }
	b := w.replica(hostile)
	wantErr(t, "Refresh", b.Refresh(t.Context()), ErrNotApproved, digest(digestA), digest(digestB), "operator approve-config")
	w.in(b, Sealed)
	if b.view.Load().keys != nil || !b.Frozen(key(1)) || !strings.Contains(b.Status().Reason, digest(digestB)) {
		t.Errorf("it has a key: %q", b.Status().Reason)
	}
	asked := w.kms.calls.Load()
	wantErr(t, "Refresh again", b.Refresh(t.Context()), ErrNotApproved)
	if w.kms.calls.Load() != asked {
		t.Error("KMS is asked again for nothing")
	}
	wantErr(t, "it approves itself", b.ApproveConfig(t.Context(), digest(digestB), "me"), ErrSealed)
	wantErr(t, "not a digest", c.ApproveConfig(t.Context(), "aa", "x"), ErrInvalid)
	wantErr(t, "not a label", c.ApproveConfig(t.Context(), digest("cc"), "x\n"), ErrInvalid)
	for range 2 {
		if err := c.ApproveConfig(t.Context(), digest(digestB), "release 2"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.in(b, Unsealed)
	wantErr(t, "revoke one's own", b.RevokeConfig(t.Context(), digest(digestB)), ErrInvalid)
	for range 2 {
		if err := b.RevokeConfig(t.Context(), digest(digestA)); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "the revoked one", c.Refresh(t.Context()), ErrNotApproved)
	w.in(c, Sealed)
	w.restarted(Sealed)
	none := w.replica(func(o *Options) { o.ConfigDigest = "" })
	wantErr(t, "unmeasured", none.Refresh(t.Context()), ErrNotApproved, "not measured")
}

func TestSlashingStore(t *testing.T) {
	w := newWorld(t)
	c, r := w.initialized()
	store2 := func(o *Options) { o.SlashingStore = func(context.Context) (string, error) { return "store-2", nil } }
	b := w.replica(store2)
	wantErr(t, "Refresh", b.Refresh(t.Context()), ErrNotApproved, "store-1", "store-2")
	w.in(b, Sealed)
	wantErr(t, "Unseal", b.Unseal(t.Context(), r.RootToken), ErrNotApproved)

	away := errors.New("connection refused")
	asked := w.kms.calls.Load()
	identity := away
	d := w.replica(func(o *Options) {
		o.SlashingStore = func(context.Context) (string, error) { return "store-1", identity }
	})
	wantErr(t, "an unreachable one", d.Refresh(t.Context()), away)
	if w.kms.calls.Load() != asked {
		t.Error("KMS was asked for a key that cannot be used")
	}
	if d.tried.final {
		t.Error("it does not try again")
	}
	identity = nil
	if err := d.Unseal(t.Context(), r.RootToken); err != nil {
		t.Error(err)
	}
	w.in(d, Unsealed)

	wantErr(t, "while keys sign", c.PinSlashingStore(t.Context(), "store-2"), ErrInvalid, "operator freeze")
	wantErr(t, "no identity", c.PinSlashingStore(t.Context(), "store\n"), ErrInvalid)
	if err := errors.Join(c.Freeze(t.Context(), nil), c.PinSlashingStore(t.Context(), "store-2"), c.Unfreeze(t.Context(), nil)); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*Chamber{c, d} {
		if err := x.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.in(x, Unsealed)
		if err := x.Ready(); err == nil || !strings.Contains(err.Error(), "store-2") || !x.Frozen(key(1)) {
			t.Errorf("a replica with the old store goes on: %v", err)
		}
	}
	if n := w.restarted(Unsealed, store2); n.Frozen(key(1)) || n.Ready() != nil {
		t.Errorf("one with the new store does not sign: %v", n.Ready())
	}
	w.restarted(Sealed)
	if err := errors.Join(c.Freeze(t.Context(), nil), c.PinSlashingStore(t.Context(), "store-1"), c.Unfreeze(t.Context(), nil), c.Ready()); err != nil {
		t.Errorf("the old one cannot take it back: %v", err)
	}
}

func TestSealAndUnseal(t *testing.T) {
	w := newWorld(t)
	c, r := w.initialized()
	other := w.restarted(Unsealed)
	blob := sealed(t, c)
	held := c.view.Load().keys.now
	for range 2 {
		if err := c.SealChamber(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.in(c, Sealed)
	if err := held.master.Use(func([]byte) error { return nil }); err == nil {
		t.Error("the master key was not wiped")
	}
	_, err := c.Open("key", "k1", 7, blob)
	wantErr(t, "Open", err, ErrSealed, "operator")
	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.in(other, Sealed)
	asked := w.kms.calls.Load()
	cold := w.restarted(Sealed)
	if err := cold.Refresh(t.Context()); err != nil || w.kms.calls.Load() != asked {
		t.Errorf("%v; KMS was asked %d times although an operator has sealed", err, w.kms.calls.Load()-asked)
	}
	wantErr(t, "without a token", cold.Unseal(t.Context(), ""), ErrToken)
	wantErr(t, "with the setup token", cold.Unseal(t.Context(), cold.SetupToken()), ErrToken)
	if w.kms.calls.Load() != asked {
		t.Error("KMS was asked for no token")
	}
	wantErr(t, "with another token", cold.Unseal(t.Context(), NewRootToken()), ErrToken)
	w.in(cold, Sealed)
	wantErr(t, "a change", cold.Freeze(t.Context(), nil), ErrSealed)
	_, err = cold.CheckRootToken(r.RootToken)
	wantErr(t, "CheckRootToken", err, ErrSealed)
	for range 2 {
		if err := cold.Unseal(t.Context(), r.RootToken); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "with another token, unsealed", cold.Unseal(t.Context(), NewRootToken()), ErrToken)
	for _, x := range []*Chamber{c, other, cold} {
		if err := x.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		works(t, x, blob)
	}
	audits := map[string]int{}
	for _, line := range w.logs.All() {
		if what, ok := line.ContextMap()["audit"].(string); ok {
			audits[what]++
		}
	}
	if audits["init"] != 1 || audits["seal"] == 0 || audits["unseal"] == 0 {
		t.Errorf("audit lines %v", audits)
	}
	// One that may not run the chamber must not end the seal for the others.
	if err := c.SealChamber(t.Context()); err != nil {
		t.Fatal(err)
	}
	stranger := w.replica(func(o *Options) { o.ConfigDigest = digest(digestB) })
	wantErr(t, "by another configuration", stranger.Unseal(t.Context(), r.RootToken), ErrNotApproved)
	elsewhere := w.replica(func(o *Options) { o.SlashingStore = func(context.Context) (string, error) { return "store-2", nil } })
	wantErr(t, "with another slashing store", elsewhere.Unseal(t.Context(), r.RootToken), ErrNotApproved)
	w.restarted(Sealed)
	// A replica that has not seen the seal yet ends it as well.
	if err := c.Unseal(t.Context(), r.RootToken); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(other.Refresh(t.Context()), c.SealChamber(t.Context()), other.Unseal(t.Context(), r.RootToken)); err != nil {
		t.Fatal(err)
	}
	w.restarted(Unsealed)
	uninitialized := newWorld(t).replica()
	wantErr(t, "seal nothing", uninitialized.SealChamber(t.Context()), ErrUninitialized)
	wantErr(t, "unseal nothing", uninitialized.Unseal(t.Context(), NewRootToken()), ErrUninitialized)
}

// The host shows an old list of root tokens to somebody whose token was revoked: the list is not authentic before the key is there, and the
// old manifest is.  A process that has seen the newer one refuses it.
func TestUnsealWithRevokedToken(t *testing.T) {
	w := newWorld(t)
	c, r := w.initialized()
	if _, _, err := c.GenerateRootToken(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	old := w.stored()
	id, err := c.CheckRootToken(r.RootToken)
	if err == nil {
		err = c.RevokeRootToken(t.Context(), id)
	}
	if err == nil {
		err = c.SealChamber(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "a revoked token", c.Unseal(t.Context(), r.RootToken), ErrToken)
	w.put(old)
	wantErr(t, "with an old list", c.Unseal(t.Context(), r.RootToken), ErrRolledBack)
	w.in(c, Sealed)
}
