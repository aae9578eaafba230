package admin_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

func said(err error, kind problem.Kind, words string) bool {
	p := problem.Of(err)
	return err != nil && p.Kind == kind && strings.Contains(p.Public, words)
}

// TestAnotherNetwork: nothing is told of its store, or done with it; and nothing is taken from its file.
func TestAnotherNetwork(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	if err := b.store.Pin(ctx, eth2.Root{0xaa}); err != nil {
		t.Fatal(err)
	}
	keys := []bls.PublicKey{{1}}
	for name, do := range map[string]func() error{
		"status":       func() error { _, err := b.Status(ctx); return err },
		"export":       func() error { _, err := b.Export(ctx, new(bytes.Buffer)); return err },
		"import":       func() error { _, err := b.Import(ctx, strings.NewReader(file(t)), false, b.tell); return err },
		"dry import":   func() error { _, err := b.Import(ctx, strings.NewReader(file(t)), true, b.tell); return err },
		"raise":        func() error { _, err := b.Raise(ctx, admin.Lift{Slot: height(1)}, keys, false, b.tell); return err },
		"init":         func() error { _, err := b.Init(ctx, keys, false, b.tell); return err },
		"watermarks":   func() error { _, err := b.HighWatermarks(ctx); return err },
		"watermark":    func() error { _, err := b.SetHighWatermark(ctx, admin.Limit{Slot: height(1)}, keys); return err },
		"no watermark": func() error { _, err := b.RemoveHighWatermark(ctx, nil); return err },
	} {
		if err := do(); !said(err, problem.Forbidden, "another network") {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.has()
	own := newBench(t)
	foreign := strings.Replace(file(t), "0x212f", "0x0000", 1)
	if _, err := own.Import(ctx, strings.NewReader(foreign), false, own.tell); !said(err, problem.Forbidden, "metadata.genesis_validators_root: ") || !strings.HasSuffix(err.Error(), "; nothing was imported") {
		t.Errorf("its file: %v", err)
	}
	if id, err := own.store.Identify(ctx); err != nil || id.Pinned {
		t.Errorf("a file that was refused pinned the network: %+v, %v", id, err)
	}
}

func TestStoreFails(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	contents, err := admin.Read(strings.NewReader(file(t, history(1, `{"slot": 1}`, ``))), network(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"status":    func() error { _, err := b.Status(ctx); return err },
		"export":    func() error { _, err := b.Export(ctx, new(bytes.Buffer)); return err },
		"merge":     func() error { _, err := b.Merge(ctx, contents, false, b.tell); return err },
		"watermark": func() error { _, err := b.RemoveHighWatermark(ctx, nil); return err },
	} {
		if err := do(); problem.Of(err).Kind != problem.StoreUnavailable || !errors.Is(err, slashing.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.store.Reopen()
	for _, test := range []struct {
		err   error
		words string
	}{{slashing.ErrUnavailable, "nothing was changed"}, {slashing.ErrOutcomeUnknown, "the same can be asked again"}, {errors.New("odd"), "the same can be asked again"}} {
		a := admin.New(broken{b.store, test.err}, network(t), "memory")
		if _, err := a.Merge(ctx, contents, false, b.tell); !said(err, problem.StoreUnavailable, test.words) || !errors.Is(err, test.err) {
			t.Errorf("%v: %v", test.err, err)
		}
	}
	b.has()
	told := errors.New("nobody listens")
	if _, err := b.Merge(ctx, contents, false, func(admin.Change) error { return told }); !errors.Is(err, told) {
		t.Errorf("report: %v", err)
	}
	b.has(slashing.Record{Key: bls.PublicKey{1}, Block: unknownBlock(1)})
	if _, err := b.Import(ctx, failing{told}, false, b.tell); !errors.Is(err, told) || !strings.HasSuffix(err.Error(), "; nothing was imported") {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

// broken is a store that cannot be merged into.
type broken struct {
	*storetest.Memory

	err error
}

func (b broken) Merge(context.Context, []slashing.Record) error { return b.err }
