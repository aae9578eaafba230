package slashing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

func quiet(admin.Change) error { return nil }

// TestClientIsAsGoodAsTheStore: what a client hears is what an Admin beside the signer would.
func TestClientIsAsGoodAsTheStore(t *testing.T) {
	d := newDesk(t)
	client, local := d.server(), d.api.admin
	keys := []bls.PublicKey{{1}, {2}}
	slot, epoch := uint64(7), uint64(3)
	heard := func(f func(admin.Tell) (admin.Summary, error)) []any {
		t.Helper()
		var all []any
		s, err := f(func(c admin.Change) error { all = append(all, c); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return append(all, s)
	}
	file := d.file(history(1, `{"slot": 1}`, ``), history(9, ``, `{"source_epoch": 1, "target_epoch": 4000000000}`))
	for name, ask := range map[string]func(operations, admin.Tell) (admin.Summary, error){
		"import": func(o operations, tell admin.Tell) (admin.Summary, error) {
			return o.Import(t.Context(), strings.NewReader(file), true, tell)
		},
		"raise": func(o operations, tell admin.Tell) (admin.Summary, error) {
			return o.Raise(t.Context(), admin.Lift{Slot: &slot, SourceEpoch: &epoch, TargetEpoch: &epoch}, keys, true, tell)
		},
		"init": func(o operations, tell admin.Tell) (admin.Summary, error) {
			return o.Init(t.Context(), keys, true, tell)
		},
	} {
		got := heard(func(tell admin.Tell) (admin.Summary, error) { return ask(client, tell) })
		want := heard(func(tell admin.Tell) (admin.Summary, error) { return ask(local, tell) })
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 3 {
			t.Errorf("%s: want -, got +\n%s", name, diff)
		}
	}
	if _, err := client.Import(t.Context(), strings.NewReader(file), false, quiet); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SetHighWatermark(t.Context(), admin.Limit{Slot: &slot}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SetHighWatermark(t.Context(), admin.Limit{Epoch: &epoch}, keys); err != nil {
		t.Fatal(err)
	}
	gotStatus, err := client.Status(t.Context())
	wantStatus, wantErr := local.Status(t.Context())
	if diff := cmp.Diff(wantStatus, gotStatus); diff != "" || err != nil || wantErr != nil {
		t.Errorf("status: %v, %v, want -, got +\n%s", err, wantErr, diff)
	}
	gotHigh, err := client.HighWatermarks(t.Context())
	wantHigh, wantErr := local.HighWatermarks(t.Context())
	if diff := cmp.Diff(wantHigh, gotHigh); diff != "" || err != nil || wantErr != nil || len(gotHigh.Keys) != 2 {
		t.Errorf("high watermarks: %v, %v, want -, got +\n%s", err, wantErr, diff)
	}
	if h, err := client.RemoveHighWatermark(t.Context(), keys[:1]); err != nil || len(h.Keys) != 1 || h.All.Slot == nil {
		t.Errorf("%v, %v", h, err)
	}
	var got, want strings.Builder
	if _, err := client.Export(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Export(t.Context(), &want); err != nil || got.String() != want.String() {
		t.Errorf("%v: exported %s, not %s", err, got.String(), want.String())
	}
	if _, err := client.Raise(t.Context(), admin.Lift{}, nil, false, quiet); err == nil || err.Error() != "want slot, or source_epoch and target_epoch, or all three (status 400)" {
		t.Error(err)
	}
}

// operations are what Admin and Client both do.
type operations interface {
	Import(ctx context.Context, r io.Reader, dryRun bool, tell admin.Tell) (admin.Summary, error)
	Raise(ctx context.Context, l admin.Lift, keys []bls.PublicKey, dryRun bool, tell admin.Tell) (admin.Summary, error)
	Init(ctx context.Context, keys []bls.PublicKey, dryRun bool, tell admin.Tell) (admin.Summary, error)
}

// await waits for what another goroutine does.
func await(t *testing.T, done func() bool) {
	t.Helper()
	tick, limit := time.NewTicker(time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it did not happen within a minute")
		}
	}
}

// TestOneImportAtATime: the second is refused at once, and can be sent again.
func TestOneImportAtATime(t *testing.T) {
	d := newDesk(t)
	client, file := d.server(), d.file(history(1, `{"slot": 1}`, ``))
	r, w := io.Pipe()
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := client.Import(t.Context(), r, false, quiet); err != nil {
			t.Error(err)
		}
	})
	if _, err := io.WriteString(w, file[:1]); err != nil { // taken once the request is under way
		t.Fatal(err)
	}
	await(t, func() bool {
		free := d.api.importing.TryLock()
		if free {
			d.api.importing.Unlock()
		}
		return !free
	})
	_, err := client.Import(t.Context(), strings.NewReader(file), false, quiet)
	if refused, ok := errors.AsType[*admin.RefusedError](err); !ok || refused.Status != 503 || refused.Message != "another import is under way" {
		t.Errorf("the second: %v", err)
	}
	if _, err := io.WriteString(w, file[1:]); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	first.Wait()
	if _, err := client.Import(t.Context(), strings.NewReader(file), false, quiet); err != nil {
		t.Errorf("after the first: %v", err)
	}
}

// TestAFileThatBreaksOff changes nothing, whichever side it breaks on.
func TestAFileThatBreaksOff(t *testing.T) {
	d := newDesk(t)
	client, file := d.server(), d.file(history(1, `{"slot": 1}`, ``))
	gone := errors.New("disk gone")
	if _, err := client.Import(t.Context(), io.MultiReader(strings.NewReader(file[:50]), broken{gone}), false, quiet); !errors.Is(err, gone) {
		t.Errorf("a file that cannot be read to its end: %v", err)
	}
	await(t, func() bool { return d.lines.Len() > 0 }) // the signer notices
	if line := d.lines.TakeAll()[0].ContextMap(); line["status"] != int64(400) {
		t.Errorf("the signer's line: %v", line)
	}
	if got := d.ask("GET", "/api/v1/slashing/export", "").Body.String(); strings.Contains(got, "pubkey") {
		t.Errorf("something was imported: %s", got)
	}
	// Of a large file that is refused at its beginning most is never sent, and the client hears why.
	wrong := d.file(history(1, `{"slot": -1}`, ``))
	_, err := client.Import(t.Context(), io.MultiReader(strings.NewReader(wrong), strings.NewReader(strings.Repeat(" ", 16<<20))), false, quiet)
	if refused, ok := errors.AsType[*admin.RefusedError](err); !ok || refused.Status != 400 || !strings.Contains(refused.Message, `"-1" is negative; nothing was imported`) {
		t.Errorf("a large file with a fault: %v", err)
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// TestImportWhileSigning: files with lower, equal and greater heights come in while keys sign. No record is ever lowered, and nothing
// that is signed contradicts what was signed before or imported.
func TestImportWhileSigning(t *testing.T) {
	d := newDesk(t)
	client := d.server()
	const keys, last = 4, 400
	guard := slashing.NewGuard(d.store, time.Minute)
	signed := storetest.NewHistory()
	var mu sync.Mutex // held while signed changes
	var work sync.WaitGroup
	for key := range byte(keys) {
		work.Go(func() {
			for target := uint64(1); target <= last; target++ {
				vote := &eth2.AttestationRequest{Source: target - 1, Target: target}
				if _, err := guard.Permit(t.Context(), bls.PublicKey{key}, vote); errors.Is(err, slashing.ErrRefused) {
					continue // an import was ahead
				} else if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				err := signed.Add(bls.PublicKey{key}, slashing.Attestation{Source: target - 1, Target: target})
				mu.Unlock()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Go(func() {
		low := make(map[string]uint64)
		for round := range uint64(40) {
			var entries []string
			for key := range byte(keys) {
				entries = append(entries, history(key, ``, fmt.Sprintf(`{"source_epoch": %d, "target_epoch": %d}`, 4*round, 5*round)))
			}
			_, err := client.Import(t.Context(), strings.NewReader(d.file(entries...)), false, func(c admin.Change) error {
				if a := c.After.Attestation; a.TargetEpoch < low[c.Pubkey] || a.TargetEpoch < 5*round {
					t.Errorf("round %d: %s, after target %d", round, c, low[c.Pubkey])
				} else {
					low[c.Pubkey] = a.TargetEpoch
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	work.Wait()
	if signed.Signed() == 0 {
		t.Error("nothing was signed")
	}
	err := d.store.Each(t.Context(), func(r slashing.Record) error {
		if r.Attestation.Target != last || r.Attestation.Source != last-1 {
			t.Errorf("on record %+v", r.Attestation)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
