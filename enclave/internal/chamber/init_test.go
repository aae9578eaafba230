package chamber

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/shamir"
)

func TestInitThenRestart(t *testing.T) {
	for name, wrap := range map[string]Wrap{"data key": WrapDataKey, "encrypt": WrapEncrypt} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first := w.replica(func(o *Options) { o.Wrap = wrap })
			if err := first.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.in(first, Uninitialized)
			r, err := first.Init(t.Context(), InitRequest{KeyARNs: arns(1, 2, 3), Threshold: 2})
			if err != nil {
				t.Fatal(err)
			}
			blob := sealed(t, first)
			pinned := func(o *Options) { o.Wrap, o.PinnedID = wrap, r.ChamberID }
			again := w.restarted(Unsealed, pinned)
			works(t, again, blob)
			if err := again.Ready(); err != nil {
				t.Error(err)
			}
			s := again.Status()
			if s.ChamberID != r.ChamberID || s.Threshold != 2 || len(s.Shares) != 3 || s.Shares[2].KeyARN != arn(3) || s.Wrap != wrap || s.Reason != "" ||
				s.SlashingStore != "store-1" || len(s.Approved) != 1 || s.Approved[0].Digest != digest(digestA) || s.Generation != 1 {
				t.Errorf("status %+v", s)
			}
			if _, err := again.CheckRootToken(r.RootToken); err != nil {
				t.Errorf("the first root token: %v", err)
			}
			if text := string(w.stored()); strings.Contains(text, r.RootToken) {
				t.Error("the store has the root token")
			}
		})
	}
}

func TestInitRefuses(t *testing.T) {
	sixteen := arns(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)
	for name, tc := range map[string]struct {
		arns      []string
		threshold int
		token     string
		kind      error
		words     string
	}{
		"threshold 0":       {arns(1, 2), 0, "", shamir.ErrThreshold, "threshold 0 of 2"},
		"negative":          {arns(1, 2), -1, "", shamir.ErrThreshold, "threshold -1"},
		"threshold above N": {arns(1, 2), 3, "", shamir.ErrThreshold, "threshold 3 of 2"},
		"no keys":           {nil, 0, "", shamir.ErrThreshold, "of 0 KMS keys"},
		"seventeen":         {sixteen, 2, "", shamir.ErrThreshold, "of 17"},
		"duplicate":         {arns(1, 2, 1), 2, "", ErrInvalid, "named twice"},
		"malformed":         {[]string{arn(1), "arn:aws:kms:alias/x"}, 1, "", ErrInvalid, "want arn:"},
		"alias":             {[]string{"arn:aws:kms:eu-central-1:000000000001:alias/x"}, 1, "", ErrInvalid, "alias"},
		"not allowed":       {arns(1, 9), 1, "", ErrInvalid, "not among those that the configuration allows"},
		"weak root token":   {arns(1, 2), 1, "cc-root-123", ErrInvalid, "a root token is"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.replica()
			_, err := c.Init(t.Context(), InitRequest{tc.arns, tc.threshold, tc.token})
			wantErr(t, "Init", err, ErrInvalid, tc.words)
			wantErr(t, "Init", err, tc.kind)
			if n := w.kms.calls.Load(); n != 0 {
				t.Errorf("KMS was asked %d times", n)
			}
			w.restarted(Uninitialized)
		})
	}
}

func TestInitNeedsEveryShareToOpen(t *testing.T) {
	w := newWorld(t)
	c := w.replica()
	w.kms.breaks(opFails("Decrypt", arn(2), kms.ErrDenied)) // a policy that lets keys be made, but not opened
	_, err := c.Init(t.Context(), InitRequest{KeyARNs: arns(1, 2, 3), Threshold: 2})
	wantErr(t, "Init", err, kms.ErrDenied, "new share 2")
	w.restarted(Uninitialized)
}

func TestInitOnce(t *testing.T) {
	w := newWorld(t)
	c, r := w.initialized()
	request := InitRequest{KeyARNs: arns(1, 2, 3), Threshold: 2}
	_, err := c.Init(t.Context(), request)
	wantErr(t, "a second Init", err, ErrInitialized)
	_, err = w.replica().Init(t.Context(), request)
	wantErr(t, "of another replica", err, ErrInitialized)
	_, err = w.replica(func(o *Options) { o.PinnedID = r.ChamberID }).Init(t.Context(), request)
	wantErr(t, "with a pinned chamber", err, ErrPinned)
	w.kms.denies(arns(1, 2, 3)...)
	_, err = w.replica().Init(t.Context(), request)
	wantErr(t, "while sealed", err, ErrInitialized)

	empty := newWorld(t).replica(func(o *Options) { o.PinnedID = r.ChamberID })
	if err := empty.Refresh(t.Context()); err != nil || !strings.Contains(empty.Status().Reason, "a backup to restore") {
		t.Errorf("an empty state with a pinned chamber: %v, %q", err, empty.Status().Reason)
	}
}

func TestInitRace(t *testing.T) {
	for range 20 {
		w := newWorld(t)
		replicas := []*Chamber{w.replica(), w.replica(), w.replica()}
		errs := make([]error, len(replicas))
		var wg sync.WaitGroup
		for i, c := range replicas {
			wg.Go(func() { _, errs[i] = c.Init(t.Context(), InitRequest{KeyARNs: arns(1, 2), Threshold: 1}) })
		}
		wg.Wait()
		winners := 0
		for i, c := range replicas {
			if errs[i] == nil {
				winners++
			} else {
				wantErr(t, "the slower one", errs[i], ErrInitialized)
			}
			if err := c.Refresh(t.Context()); err != nil || c.Status().ChamberID != replicas[0].Status().ChamberID {
				t.Errorf("replica %d: %v, chamber %s", i, err, c.Status().ChamberID)
			}
			w.in(c, Unsealed)
		}
		if winners != 1 {
			t.Fatalf("%d winners", winners)
		}
	}
}

func TestSetupToken(t *testing.T) {
	w := newWorld(t)
	c := w.replica()
	token := c.SetupToken()
	if !strings.HasPrefix(token, "cc-setup-") || len(token) < 40 || token == w.replica().SetupToken() {
		t.Fatalf("setup token %q", token)
	}
	wantErr(t, "another token", c.CheckSetupToken(token+"x"), ErrToken)
	wantErr(t, "no token", c.CheckSetupToken(""), ErrToken)
	if err := c.CheckSetupToken(token); err != nil {
		t.Error(err)
	}
	if _, err := c.Init(t.Context(), InitRequest{KeyARNs: arns(1), Threshold: 1}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "the token again", c.CheckSetupToken(token), ErrToken, "used")

	w = newWorld(t)
	w.kms.attested = true
	if c := w.replica(); c.SetupToken() != "" || !errors.Is(c.CheckSetupToken(""), ErrToken) {
		t.Error("an enclave has made a setup token, or takes none")
	}
	mine := NewSetupToken(time.Now().Add(time.Minute))
	hash := sha256.Sum256([]byte(mine))
	c = w.replica(func(o *Options) { o.SetupTokenSHA256 = hex.EncodeToString(hash[:]) })
	if err := c.CheckSetupToken(mine); err != nil || c.SetupToken() != "" {
		t.Errorf("%v, %q", err, c.SetupToken())
	}
	wantErr(t, "the hash", c.CheckSetupToken(hex.EncodeToString(hash[:])), ErrToken)
}

// TestSetupTokenExpires: its end is part of what the configuration has the hash of.
func TestSetupTokenExpires(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	accepts := func(token string) func(string) error {
		w := newWorld(t)
		w.kms.attested = true
		hash := sha256.Sum256([]byte(token))
		c := w.replica(func(o *Options) {
			o.SetupTokenSHA256, o.Now = hex.EncodeToString(hash[:]), func() time.Time { return now }
		})
		return c.CheckSetupToken
	}
	token := NewSetupToken(now.Add(time.Hour))
	check := accepts(token)
	for _, offset := range []time.Duration{-time.Hour, 0, time.Hour - time.Second} { // this process's clock
		now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(offset)
		if err := check(token); err != nil {
			t.Errorf("%v: %v", now, err)
		}
	}
	now = time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)
	wantErr(t, "an hour later", check(token), ErrToken, "valid until 2026-03-01T13:00:00Z, and this signer's clock says 2026-03-01T13:00:00Z")
	later := strings.Replace(token, "20260301T130000Z", "20360301T130000Z", 1)
	if later == token {
		t.Fatalf("no time in %s", token)
	}
	if err := check(later); !errors.Is(err, ErrToken) || strings.Contains(err.Error(), "valid until") {
		t.Errorf("with another time: %v", err)
	}
	for _, own := range []string{"my own token", strings.TrimSuffix(token, token[len(token)-1:]), "cc-setup-20261399T000000Z-" + token[len(token)-52:]} {
		wantErr(t, own, accepts(own)(own), ErrToken)
	}

	w := newWorld(t)
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := w.replica(func(o *Options) { o.Now = func() time.Time { return now } })
	now = now.Add(SetupTokenLifetime - time.Second)
	if err := c.CheckSetupToken(c.SetupToken()); err != nil {
		t.Error(err)
	}
	now = now.Add(time.Second)
	wantErr(t, "one that the process made", c.CheckSetupToken(c.SetupToken()), ErrToken, "valid until")
}

func TestRootTokens(t *testing.T) {
	w := newWorld(t)
	now := time.Unix(1_800_000_000, 0)
	c, r := w.initialized(func(o *Options) { o.Now = func() time.Time { return now } })
	token, made, err := c.GenerateRootToken(t.Context(), time.Hour)
	if err != nil || made.Expires != now.Add(time.Hour) {
		t.Fatal(made, err)
	}
	if id, err := c.CheckRootToken(token); err != nil || id != made.ID {
		t.Errorf("%q, %v", id, err)
	}
	wantErr(t, "another token", func() error { _, err := c.CheckRootToken(NewRootToken()); return err }(), ErrToken)
	first, err := c.CheckRootToken(r.RootToken)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "the last one for good", c.RevokeRootToken(t.Context(), first), ErrInvalid)
	now = now.Add(time.Hour)
	_, err = c.CheckRootToken(token)
	wantErr(t, "an expired one", err, ErrToken)
	forever, _, err := c.GenerateRootToken(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Status(); len(s.RootTokens) != 2 {
		t.Errorf("the expired one is still listed: %v", s.RootTokens)
	}
	if err := c.RevokeRootToken(t.Context(), first); err != nil {
		t.Error(err)
	}
	_, err = c.CheckRootToken(r.RootToken)
	wantErr(t, "a revoked one", err, ErrToken)
	if _, err := c.CheckRootToken(forever); err != nil {
		t.Error(err)
	}
	_, _, err = c.GenerateRootToken(t.Context(), -time.Hour)
	wantErr(t, "a negative lifetime", err, ErrInvalid)
}
