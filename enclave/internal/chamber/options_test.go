package chamber

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// A manifest is checked before anything in it is used, because nobody has authenticated it then.
func TestManifestCheck(t *testing.T) {
	w := newWorld(t)
	c, _ := w.initialized()
	if err := c.Freeze(t.Context(), [][48]byte{key(1)}); err != nil {
		t.Fatal(err)
	}
	text := w.stored()
	for name, change := range map[string]func(m *manifest){
		"format 0":             func(m *manifest) { m.Format = 0 },
		"chamber":              func(m *manifest) { m.Chamber = strings.ToUpper(m.Chamber) },
		"short chamber":        func(m *manifest) { m.Chamber = m.Chamber[2:] },
		"version 0":            func(m *manifest) { m.Version = 0 },
		"generation 0":         func(m *manifest) { m.Generation = 0 },
		"threshold 0":          func(m *manifest) { m.Threshold = 0 },
		"threshold above N":    func(m *manifest) { m.Threshold = 4 },
		"no shares":            func(m *manifest) { m.Shares = nil },
		"numbers":              func(m *manifest) { m.Shares[0].Number = 2 },
		"number 0":             func(m *manifest) { m.Shares[0].Number = 0 },
		"one key twice":        func(m *manifest) { m.Shares[1].KeyARN = m.Shares[0].KeyARN },
		"key":                  func(m *manifest) { m.Shares[1].KeyARN = "key" },
		"no data key":          func(m *manifest) { m.Shares[1].DataKey = nil },
		"data key, encrypt":    func(m *manifest) { m.Wrap = WrapEncrypt },
		"no share":             func(m *manifest) { m.Shares[1].Sealed = nil },
		"long share":           func(m *manifest) { m.Shares[1].Sealed = make([]byte, maxWrapped+1) },
		"digest":               func(m *manifest) { m.Approved[0].Digest = "aa" },
		"label":                func(m *manifest) { m.Approved[0].Label = "a\x01" },
		"slashing store":       func(m *manifest) { m.SlashingStore = "a\x01" },
		"many digests":         func(m *manifest) { m.Approved = make([]Approval, maxListed+1) },
		"many tokens":          func(m *manifest) { m.Tokens = make([]rootToken, maxListed+1) },
		"token id":             func(m *manifest) { m.Tokens[0].ID = "x" },
		"token":                func(m *manifest) { m.Tokens[0].HMAC = m.Tokens[0].HMAC[1:] },
		"frozen":               func(m *manifest) { m.Frozen = "some" },
		"frozen, no list":      func(m *manifest) { m.Items = nil },
		"list, not frozen":     func(m *manifest) { m.Frozen = FreezeNone },
		"item kind":            func(m *manifest) { m.Items[0].Kind = "policy" },
		"many items":           func(m *manifest) { m.Items = slices.Repeat(m.Items, maxFrozenItems+1) },
		"item name":            func(m *manifest) { m.Items[0].Name = "" },
		"item version":         func(m *manifest) { m.Items[0].Version = 2 },
		"item hash":            func(m *manifest) { m.Items[0].SHA256 = nil },
		"item is the manifest": func(m *manifest) { m.Items[0].Name = manifestName },
		"follows itself":       func(m *manifest) { m.Previous = &previous{m.Chamber, nil, make([]byte, macSize)} },
		"no endorsement":       func(m *manifest) { m.Previous = &previous{Chamber: strings.Repeat("0", 32)} },
		"no mac":               func(m *manifest) { m.MAC = nil },
	} {
		m, err := parseManifest(text)
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		got, err := parseManifest(encoded(t, m))
		wantErr(t, name, err, ErrCorrupt)
		if got != nil {
			t.Errorf("%s: a manifest beside the error", name)
		}
	}
}

func TestOptions(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct {
		change func(o *Options)
		words  string
	}{
		"no state":    {func(o *Options) { o.State = nil }, "must be set"},
		"no keys":     {func(o *Options) { o.AllowedKeys = nil }, "at least one KMS key"},
		"a bad key":   {func(o *Options) { o.AllowedKeys = []string{"alias/x"} }, "allowed keys"},
		"wrap":        {func(o *Options) { o.Wrap = 3 }, "Wrap(3)"},
		"pin":         {func(o *Options) { o.PinnedID = "chamber" }, "32 hexadecimal digits"},
		"digest":      {func(o *Options) { o.ConfigDigest = "aa" }, "96 hexadecimal digits"},
		"setup token": {func(o *Options) { o.SetupTokenSHA256 = "cc-setup-x" }, "64 hexadecimal digits"},
	} {
		o := Options{State: w.state, KMS: w.kms, AllowedKeys: arns(1), Log: w.core, Registry: prometheus.NewRegistry()}
		tc.change(&o)
		if c, err := New(o); c != nil || err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := Options{State: w.state, KMS: w.kms, AllowedKeys: arns(1), Log: w.core, Registry: prometheus.NewRegistry()}
	if _, err := New(o); err != nil {
		t.Error(err)
	}
	if _, err := New(o); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("two on one registry: %v", err)
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	w := newWorld(t)
	c, r := w.initialized()
	token, _, err := c.GenerateRootToken(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	w.kms.denies(arn(1), arn(2))
	w.restarted(Sealed)
	w.kms.denies()
	setup := w.replica().SetupToken()
	for _, line := range w.logs.All() {
		text := line.Message
		for _, f := range line.Context {
			text += f.String
		}
		for _, s := range []string{r.RootToken, token, setup} {
			if strings.Contains(text, s) {
				t.Errorf("logged: %s", text)
			}
		}
	}
	if len(w.logs.All()) < 4 {
		t.Error("nothing was logged")
	}
}

// A master key that did not come into use does not stay in memory; the one in use does.
func TestRelease(t *testing.T) {
	c, _ := newWorld(t).initialized()
	unused, err := newGeneration()
	if err != nil {
		t.Fatal(err)
	}
	held := c.view.Load().keys.now
	c.release(unused)
	c.release(held)
	nothing := func([]byte) error { return nil }
	if unused.master.Use(nothing) == nil || held.master.Use(nothing) != nil {
		t.Error("the wrong key was wiped")
	}
}
