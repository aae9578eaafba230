package chamber

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
)

func encoded(t *testing.T, m *manifest) []byte {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Every way in which KMS or the store can give something else than a share. Two good ones of three are enough, and the third is named; with
// two faults the chamber stays sealed, and names both.
func TestUnsealWithFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		wrap  Wrap
		fault func(w *world, n int) // breaks share n
		words string
	}{
		"denied": {WrapDataKey, func(w *world, n int) {
			before := w.kms.fault.Load()
			w.kms.breaks(func(ctx context.Context, op, a string) error {
				if a == arn(n) {
					return fmt.Errorf("%w: the key's policy says no", kms.ErrDenied)
				}
				if before != nil {
					return (*before)(ctx, op, a)
				}
				return nil
			})
		}, "the key's policy says no"},
		"garbage": {WrapDataKey, func(w *world, n int) { forge(w, n, func([]byte) []byte { return []byte("garbage") }) }, "invalid key size"},
		"wrong data key": {WrapDataKey, func(w *world, n int) {
			forge(w, n, func(b []byte) []byte { b[0] ^= 1; return b })
		}, "damaged"},
		"tampered share":    {WrapDataKey, func(w *world, n int) { w.edit(func(m *manifest) { m.Shares[n-1].Sealed[20] ^= 1 }) }, "damaged"},
		"tampered data key": {WrapDataKey, func(w *world, n int) { w.edit(func(m *manifest) { m.Shares[n-1].DataKey[20] ^= 1 }) }, "not of this key"},
		"encrypt, tampered": {WrapEncrypt, func(w *world, n int) { w.edit(func(m *manifest) { m.Shares[n-1].Sealed[20] ^= 1 }) }, "not of this key"},
		"encrypt, short":    {WrapEncrypt, func(w *world, n int) { forge(w, n, func(b []byte) []byte { return b[:31] }) }, "31 bytes"},
		"key not allowed":   {WrapDataKey, func(w *world, n int) { w.edit(func(m *manifest) { m.Shares[n-1].KeyARN = arn(90 + n) }) }, "not among those"},
		"of another chamber": {WrapDataKey, func(w *world, n int) {
			other := &world{t: w.t, state: newWorld(w.t).state, kms: w.kms, core: w.core}
			other.initialized()
			foreign, err := parseManifest(other.stored())
			if err != nil {
				w.t.Fatal(err)
			}
			w.edit(func(m *manifest) { m.Shares[n-1] = foreign.Shares[n-1] })
		}, "not of this key"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, r := w.initialized(func(o *Options) { o.Wrap = tc.wrap })
			good := w.stored()
			same := func(o *Options) { o.Wrap, o.PinnedID = tc.wrap, r.ChamberID }
			tc.fault(w, 3)
			c := w.replica(same)
			err := c.Refresh(t.Context())
			if string(w.stored()) == string(good) {
				w.in(c, Unsealed)
				c.tryShares(t.Context(), c.view.Load().m)
			} else { // the share was not needed, but the manifest is not what its owner wrote
				wantErr(t, "a tampered manifest", err, ErrForeign)
				w.in(c, Sealed)
			}
			tc.fault(w, 2)
			c = w.replica(same)
			err = c.Refresh(t.Context())
			w.in(c, Sealed)
			for _, words := range []string{"1 of 3 shares could be opened, 2 are needed", "share 2 (", "share 3 (", tc.words} {
				if err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(c.Status().Reason, words) {
					t.Errorf("%v, %q does not say %q", err, c.Status().Reason, words)
				}
			}
			if h := c.Status().Shares; !h[0].OK || h[1].OK || h[2].OK || !strings.Contains(h[1].Error, tc.words) || h[2].Checked.IsZero() {
				t.Errorf("health %+v", h)
			}
		})
	}
}

// forge has Decrypt answer something else for key n, beside what was forged before.
func forge(w *world, n int, f func([]byte) []byte) {
	before := w.kms.forge.Load()
	all := func(a string, b []byte) []byte {
		if before != nil {
			b = (*before)(a, b)
		}
		if a == arn(n) {
			return f(b)
		}
		return b
	}
	w.kms.forge.Store(&all)
}

// A share can be intact and still wrong: KMS is asked to open what belongs to another splitting of the key. Only the key's id tells.
func TestWrongShareIsNamed(t *testing.T) {
	wrong := func(b []byte) []byte { b[3] ^= 0x55; return b }
	w := newWorld(t)
	_, r := w.initialized(func(o *Options) { o.Wrap = WrapEncrypt })
	same := func(o *Options) { o.Wrap, o.PinnedID = WrapEncrypt, r.ChamberID }
	forge(w, 2, wrong)
	for range 20 { // whatever order they come in
		c := w.restarted(Unsealed, same)
		c.tryShares(t.Context(), c.view.Load().m)
		if h := c.Status().Shares; !h[0].OK || h[1].OK || !h[2].OK || h[1].Error != errWrongShare.Error() {
			t.Fatalf("health %+v", h)
		}
		if got := testutil.ToFloat64(c.metrics.shares.WithLabelValues("2")); got != 0 {
			t.Errorf("containment_kms_share_ok of share 2 is %v", got)
		}
		c.stop()
	}
	w.kms.denies(arn(3)) // one right and one wrong one give some key
	c := w.restarted(Sealed, same)
	if reason := c.Status().Reason; !strings.Contains(reason, errNoFit.Error()) {
		t.Errorf("reason %q", reason)
	}
	blob, err := c.Seal("key", "k", 1, nil)
	wantErr(t, "seal with a wrong key", err, ErrSealed)
	if blob != nil {
		t.Error("something was sealed")
	}
}

func TestSwappedShares(t *testing.T) {
	w := newWorld(t)
	w.initialized()
	w.edit(func(m *manifest) {
		m.Shares[0].DataKey, m.Shares[1].DataKey = m.Shares[1].DataKey, m.Shares[0].DataKey
		m.Shares[0].Sealed, m.Shares[1].Sealed = m.Shares[1].Sealed, m.Shares[0].Sealed
	})
	c := w.restarted(Sealed)
	if h := c.Status().Shares; h[0].OK || h[1].OK || !h[2].OK {
		t.Errorf("health %+v", h)
	}
}

// A key that takes its time does not hold up the others, and one that never answers is given up.
func TestSlowKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.initialized()
		slow := func(keys map[string]time.Duration) {
			w.kms.breaks(func(ctx context.Context, _, a string) error {
				select {
				case <-time.After(keys[a]):
					return nil
				case <-ctx.Done():
					return fmt.Errorf("%w: no answer in time", kms.ErrUnavailable)
				}
			})
		}
		slow(map[string]time.Duration{arn(1): time.Hour, arn(2): 2 * time.Second, arn(3): time.Second})
		began := time.Now()
		w.restarted(Unsealed)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the two fastest took %s, want 2s", took)
		}
		slow(map[string]time.Duration{arn(1): time.Hour, arn(2): time.Hour})
		began = time.Now()
		c := w.restarted(Sealed)
		if took := time.Since(began); took != kmsLimit {
			t.Errorf("it gave up after %s, want %s", took, kmsLimit)
		}
		if reason := c.Status().Reason; !strings.Contains(reason, "no answer in time") {
			t.Errorf("reason %q", reason)
		}
	})
}

func TestPlantedEncryptShares(t *testing.T) {
	w := newWorld(t)
	w.initialized(func(o *Options) { o.Wrap = WrapEncrypt })
	c := w.replica()
	wantErr(t, "shares of another form", c.Refresh(t.Context()), ErrPinned)
	w.in(c, Sealed)
}
