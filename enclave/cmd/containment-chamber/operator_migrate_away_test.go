package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// compareWith asks two signers for all keys of the old one, one after the other, and returns the report with the error of the asking.
func compareWith(t *testing.T, ctx context.Context, old, signer *keySigner) (*compared, error) { //nolint:revive // t comes first in helpers here
	t.Helper()
	network, err := eth2.NetworkByName("hoodi")
	if err != nil {
		t.Fatal(err)
	}
	duty, err := newComparedDuty(network)
	if err != nil {
		t.Fatal(err)
	}
	c := &comparison{old: old, signer: signer, duty: duty, atOnce: 1}
	report, left, err := c.plan(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return report, c.run(ctx, left, func(r comparedKey) error { return report.add(r, &journal{}) })
}

func manyKeys(n int) (numbers []int) {
	for i := range n {
		numbers = append(numbers, i+1)
	}
	return numbers
}

// TestMigrateCompareAway: a signer that has gone away is not asked for every key that is left.
func TestMigrateCompareAway(t *testing.T) {
	hang := func(w http.ResponseWriter, _ string) bool { panic(http.ErrAbortHandler) }
	for name, test := range map[string]struct {
		old, new func(http.ResponseWriter, string) bool
		asked    int // keys
		words    string
	}{
		"the old one":         {hang, nil, awayLimit, "ended after 10 of 30 keys: the old signer is away: EOF"},
		"the new one":         {nil, hang, awayLimit, "ended after 10 of 30 keys: the signer is away: EOF"},
		"a proxy without one": {answers(502, "no upstream"), nil, awayLimit, "the old signer is away: no upstream"},
		"one that refuses":    {answers(404, ""), nil, 30, ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			old, signer := newOtherSigner(t, manyKeys(30)...), newOtherSigner(t, manyKeys(30)...)
			old.sign, signer.sign = test.old, test.new
			report, err := compareWith(t, t.Context(), old.signer("old signer"), signer.signer("signer"))
			if (err == nil) != (test.words == "") || err != nil && !strings.Contains(err.Error(), test.words) {
				t.Errorf("%v, want %q", err, test.words)
			}
			if len(report.Failed) != test.asked || report.verdict() == nil {
				t.Errorf("%d keys failed, want %d: %v", len(report.Failed), test.asked, report.verdict())
			}
		})
	}
}

// TestMigrateCompareComesBack: keys that a signer did not answer for, now and then, are failures of their own.
func TestMigrateCompareComesBack(t *testing.T) {
	var asked atomic.Int64
	old, signer := newOtherSigner(t, manyKeys(80)...), newOtherSigner(t, manyKeys(80)...)
	old.sign = func(http.ResponseWriter, string) bool {
		if asked.Add(1)%(2*askTries+1) > askTries {
			return false
		}
		panic(http.ErrAbortHandler)
	}
	report, err := compareWith(t, t.Context(), old.signer("old signer"), signer.signer("signer"))
	if err != nil || len(report.Failed)+report.Passed != 80 || len(report.Failed) <= awayLimit || report.Passed == 0 || report.Failed[0].Old.Status != 0 {
		t.Errorf("%v: %+v", err, report)
	}
}

// TestMigrateCompareWaitsNoLonger: a signer that takes a request and does not answer.
func TestMigrateCompareWaitsNoLonger(t *testing.T) {
	left := make(chan struct{})
	old := newOtherSigner(t, 1)
	old.sign = func(http.ResponseWriter, string) bool { <-left; return true }
	s := old.signer("old signer")
	t.Cleanup(func() { close(left) })
	s.limit = 20 * time.Millisecond
	a := s.sign(t.Context(), bls.PublicKey{}, []byte(`{"type":"AGGREGATION_SLOT","signingRoot":"`+signature(0)[:66]+`","aggregation_slot":{"slot":"1099511627776"}}`))
	if a.Status != 0 || a.Message != "no answer within 20ms" || !a.absent() {
		t.Errorf("%+v", a)
	}
}

// TestMigrateCompareIsInterrupted: what was done is told and kept, and the same command goes on with the rest.
func TestMigrateCompareIsInterrupted(t *testing.T) {
	old, signer := newOtherSigner(t, manyKeys(20)...), newOtherSigner(t, manyKeys(20)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked atomic.Int64
	signer.sign = func(http.ResponseWriter, string) bool {
		if asked.Add(1) == 8 {
			cancel()
		}
		return false
	}
	file := filepath.Join(t.TempDir(), "passed")
	args := []string{
		"operator", "migrate", "compare", "--signer-url", signer.start().URL, "--allow-plaintext-signer", "--old", old.start().URL, "--allow-plaintext-old",
		"--concurrency", "1", "--resume", file, "--output", "json",
	}
	var out, errs strings.Builder
	if code := run(ctx, args, &out, &errs); code != exitFailure || !strings.Contains(errs.String(), "ended after 7 of 20 keys") || decoded(t, out.String()).Passed != 7 {
		t.Fatalf("exit code %d, %s%s", code, &out, &errs)
	}
	// The last line was cut off by whatever ended the process.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text[:len(text)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	code, again, said := command(t, args...)
	if got := decoded(t, again); code != exitOK || got.Earlier != 6 || got.Passed != 14 || got.Compared != 20 {
		t.Errorf("exit code %d, %s%s", code, again, said)
	}
	text, err = os.ReadFile(file)
	if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); err != nil || len(lines) != 21 {
		t.Errorf("%d lines: %v\n%s", len(lines), err, text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	code, again, said = command(t, args...)
	if got := decoded(t, again); code != exitOK || got.Earlier != 20 || got.Passed != 0 {
		t.Errorf("exit code %d, %s%s", code, again, said)
	}
}

// TestComparedDuty: every network that has a name, and no slot that is asked for twice.
func TestComparedDuty(t *testing.T) {
	for _, name := range []string{"mainnet", "sepolia", "hoodi", "holesky", "gnosis"} {
		network, err := eth2.NetworkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		first, err := newComparedDuty(network)
		if err != nil {
			t.Fatal(err)
		}
		second, err := newComparedDuty(network)
		if err != nil || first.slot == second.slot || first.signing == second.signing || first.slot < farSlot || first.slot >= 2*farSlot {
			t.Errorf("%s: slots %d and %d, %v", name, first.slot, second.slot, err)
		}
		var body struct {
			Type string
			Fork struct {
				Root string `json:"genesis_validators_root"`
			} `json:"fork_info"`
		}
		if err := json.Unmarshal(first.body, &body); err != nil || body.Type != "AGGREGATION_SLOT" || body.Fork.Root != hexRoot(network.ValidatorsRoot) {
			t.Errorf("%s: %s %v", name, first.body, err)
		}
	}
}
