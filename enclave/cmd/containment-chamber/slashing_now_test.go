package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

func TestHeightsAhead(t *testing.T) {
	const genesis = 1_700_000_000
	custom := &eth2.Network{Name: "custom", GenesisTime: genesis, SlotsPerEpoch: 8, SecondsPerSlot: 5}
	timeless := &eth2.Network{Name: "custom", SlotsPerEpoch: 8, SecondsPerSlot: 5}
	for _, test := range []struct {
		name    string
		network *eth2.Network
		after   int64 // seconds after genesis
		epochs  uint64
		want    heights
		words   string
	}{
		{"the first moment", custom, 0, 1, heights{slot: 15, epoch: 1}, ""},
		{"the last second of an epoch", custom, 3*40 - 1, 1, heights{slot: 31, epoch: 3}, ""},
		{"the first second of the next", custom, 3 * 40, 1, heights{slot: 39, epoch: 4}, ""},
		{"further ahead", custom, 3 * 40, 5, heights{slot: 71, epoch: 8}, ""},
		{"a clock before genesis", custom, -1, 1, heights{}, "which says 2023-11-14T22:13:19Z, network custom has not begun"},
		{"no genesis time", timeless, 0, 1, heights{}, "custom_network.genesis_time is not set"},
	} {
		got, err := heightsAhead(test.network, time.Unix(genesis+test.after, 0), test.epochs)
		if got != test.want || (err == nil) != (test.words == "") || err != nil && !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
	}
	for _, name := range []string{"mainnet", "sepolia", "hoodi", "holesky", "gnosis"} {
		network, err := eth2.NetworkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		current, _ := network.EpochAt(now)
		h, err := heightsAhead(network, now, 1)
		if err != nil || h.epoch != current+1 || network.EpochOf(h.slot) != h.epoch || network.EpochOf(h.slot+1) != h.epoch+1 {
			t.Errorf("%s: %+v in epoch %d, %v", name, h, current, err)
		}
	}
}

// inEpoch has f give its text for the epoch that it ran in: again if that ended meanwhile.
func inEpoch(t *testing.T, f func() string) (epoch uint64, text string) {
	t.Helper()
	network, err := eth2.NetworkByName("hoodi")
	if err != nil {
		t.Fatal(err)
	}
	for {
		before, _ := network.EpochAt(time.Now())
		text = f()
		if epoch, _ = network.EpochAt(time.Now()); epoch == before {
			return epoch, text
		}
	}
}

func TestSlashingRaiseToNow(t *testing.T) {
	for _, test := range []struct {
		future string // of the configuration
		ahead  uint64
		said   string
	}{
		{"1", 1, ""},
		{"4", 4, "warning: 3 keys get heights up to epoch"},
		{"0", 1, "warning: anti_slashing.max_future_epochs is 0: what was signed further ahead than one epoch is not covered"},
	} {
		config, file := protected(t)
		slashingRun(t, 0, "", "import", file, "-c", config)
		before := slashingRun(t, 0, "", "export", "-c", config)
		raise := func(flags ...string) (epoch uint64, out string) {
			return inEpoch(t, func() string {
				var out, errs strings.Builder
				args := append([]string{"slashing", "raise", "--to-now", "-c", config, "--anti-slashing-max-future-epochs", test.future}, flags...)
				code := run(t.Context(), args, &out, &errs)
				if _, said, _ := strings.Cut(errs.String(), "\n"); code != 0 || test.said == "" && said != "" {
					t.Errorf("exit code %d, %s", code, errs.String())
				}
				return out.String() + errs.String()
			})
		}
		epoch, out := raise("--dry-run")
		if want := fmt.Sprintf("\nto slot %d, source epoch %d, target epoch %d\n0 new, 2 raised, 0 unchanged; a dry run", (epoch+test.ahead+1)*32-1, epoch+test.ahead, epoch+test.ahead); !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
		same(t, slashingRun(t, 0, "", "export", "-c", config), before)

		epoch, out = raise("--key", publicKey(1), "--key", publicKey(2), "--key", publicKey(3))
		if !strings.Contains(out, test.said) {
			t.Errorf("no %q in %s", test.said, out)
		}
		want := fmt.Sprintf("highest source epoch %d, highest target epoch %d\nblocks                   3, highest slot %d\n",
			epoch+test.ahead, epoch+test.ahead, (epoch+test.ahead+1)*32-1)
		if status := slashingRun(t, 0, "", "status", "-c", config); !strings.Contains(status, want) {
			t.Errorf("no %q in %s", want, status)
		}
	}
}

// TestSlashingMoveToNow: what a store is raised to now is never below the high watermark that another one got before.
func TestSlashingMoveToNow(t *testing.T) {
	config, file := protected(t)
	slashingRun(t, 0, "", "import", file, "-c", config)
	epoch, out := inEpoch(t, func() string {
		return slashingRun(t, 0, "", "high-watermark", "--to-now", "-c", config, "--anti-slashing-max-future-epochs", "9")
	})
	same(t, out, fmt.Sprintf("all keys  slot %d, epoch %d\n", (epoch+2)*32-1, epoch+1))
	found := regexp.MustCompile(`(?m)^to slot (\d+), source epoch (\d+), target epoch (\d+)$`).FindStringSubmatch(
		slashingRun(t, 0, "", "raise", "--to-now", "--dry-run", "-c", config))
	if found == nil {
		t.Fatal("no heights")
	}
	for i, least := range []uint64{(epoch+2)*32 - 1, epoch + 1, epoch + 1} {
		if got, err := strconv.ParseUint(found[i+1], 10, 64); err != nil || got < least {
			t.Errorf("%s, %v, below the high watermark of epoch %d", found[0], err, epoch+1)
		}
	}
	same(t, slashingRun(t, 0, "", "high-watermark", "--remove", "-c", config), "all keys  none\n")
}

func TestSlashingToNowRefuses(t *testing.T) {
	config, _ := protected(t)
	custom := configFile(t, `network: custom
custom_network: {genesis_validators_root: "`+hoodiRoot+`", genesis_fork_version: "0x10000910"}
anti_slashing: {backend: sqlite, sqlite: {path: `+t.TempDir()+`/s.sqlite}}
`)
	unborn := configFile(t, fmt.Sprintf(`network: custom
custom_network: {genesis_validators_root: %q, genesis_fork_version: "0x10000910", genesis_time: %d}
anti_slashing: {backend: sqlite, sqlite: {path: %s/s.sqlite}}
`, hoodiRoot, uint32(math.MaxUint32), t.TempDir()))
	for _, test := range []struct{ words, args string }{
		{"--to-now goes without --slot", "raise --slot 1"},
		{"--to-now goes without --source-epoch", "raise --source-epoch 1 --target-epoch 2"},
		{"--to-now goes without --target-epoch", "raise --target-epoch 0"},
		{"--to-now goes without --slot", "high-watermark --slot 1"},
		{"--to-now goes without --epoch", "high-watermark --epoch 1"},
		{"--to-now goes without --remove", "high-watermark --remove"},
	} {
		slashingRun(t, 2, test.words, append(strings.Fields(test.args), "--to-now", "-c", config)...)
	}
	for _, verb := range []string{"raise", "high-watermark"} {
		slashingRun(t, 2, "--to-now goes with -c", verb, "--to-now", "--signer-url", "http://127.0.0.1:1")
		slashingRun(t, 2, "--to-now: custom_network.genesis_time is not set", verb, "--to-now", "-c", custom)
		slashingRun(t, 2, "network custom has not begun", verb, "--to-now", "-c", unborn)
	}
	if diff := cmp.Diff("all keys  none\n", func() string {
		slashingRun(t, 0, "", "migrate", "-c", config)
		return slashingRun(t, 0, "", "high-watermark", "-c", config)
	}()); diff != "" {
		t.Error(diff)
	}
}
