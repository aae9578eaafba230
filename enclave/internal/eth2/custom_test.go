package eth2_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// devnet is a network with all forks.
func devnet() eth2.CustomNetwork {
	return eth2.CustomNetwork{
		ValidatorsRoot:     eth2.Root{0xaa},
		GenesisForkVersion: eth2.Version{0x10},
		SlotsPerEpoch:      8,
		SecondsPerSlot:     6,
		Forks: []eth2.ForkVersion{
			{Name: "altair", Version: eth2.Version{0x20}},
			{Name: "BELLATRIX", Version: eth2.Version{0x30}},
			{Name: "capella", Version: eth2.Version{0x40}},
			{Name: "deneb", Version: eth2.Version{0x50}},
			{Name: "electra", Version: eth2.Version{0x60}},
			{Name: "fulu", Version: eth2.Version{0x70}},
			{Name: "gloas", Version: eth2.Version{0x80}},
		},
	}
}

func TestCustomNetwork(t *testing.T) {
	got, err := eth2.NewCustomNetwork(devnet())
	if err != nil {
		t.Fatal(err)
	}
	want := &eth2.Network{
		Name: "custom", ValidatorsRoot: eth2.Root{0xaa}, GenesisForkVersion: eth2.Version{0x10},
		SlotsPerEpoch: 8, SecondsPerSlot: 6,
		Versions: []eth2.Version{{0x10}, {0x20}, {0x30}, {0x40}, {0x50}, {0x60}, {0x70}, {0x80}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	short := devnet()
	short.Forks = nil
	if n, err := eth2.NewCustomNetwork(short); err != nil || len(n.Versions) != 1 {
		t.Errorf("without forks: %v, %v", n, err)
	}
}

func TestBadCustomNetwork(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*eth2.CustomNetwork)
		want   string
	}{
		"no root":        {func(c *eth2.CustomNetwork) { c.ValidatorsRoot = eth2.Root{} }, "genesis validators root: is zero"},
		"no slots":       {func(c *eth2.CustomNetwork) { c.SlotsPerEpoch = 0 }, "slots per epoch: is zero"},
		"no seconds":     {func(c *eth2.CustomNetwork) { c.SecondsPerSlot = 0 }, "seconds per slot: is zero"},
		"phase0 listed":  {func(c *eth2.CustomNetwork) { c.Forks = slices.Insert(c.Forks, 0, eth2.ForkVersion{Name: "phase0"}) }, "forks[0]: phase0 stands where altair should"},
		"gap":            {func(c *eth2.CustomNetwork) { c.Forks = slices.Delete(c.Forks, 3, 4) }, "forks[3]: electra stands where deneb should"},
		"wrong order":    {func(c *eth2.CustomNetwork) { c.Forks[1], c.Forks[2] = c.Forks[2], c.Forks[1] }, "forks[1]: capella stands where bellatrix should"},
		"unknown name":   {func(c *eth2.CustomNetwork) { c.Forks[4].Name = "pectra" }, `forks[4]: "pectra" is not a fork from altair to gloas`},
		"fork too many":  {func(c *eth2.CustomNetwork) { c.Forks = append(c.Forks, eth2.ForkVersion{Name: "gloas"}) }, "forks[7]: gloas comes after gloas"},
		"later fork":     {func(c *eth2.CustomNetwork) { c.Forks = append(c.Forks, eth2.ForkVersion{Name: "heze"}) }, `forks[7]: "heze" is not a fork`},
		"version twice":  {func(c *eth2.CustomNetwork) { c.Forks[5].Version = eth2.Version{0x30} }, "forks[5]: fulu has the version of bellatrix, 0x30000000"},
		"genesis's once": {func(c *eth2.CustomNetwork) { c.Forks[0].Version = eth2.Version{0x10} }, "forks[0]: altair has the version of phase0, 0x10000000"},
	} {
		t.Run(name, func(t *testing.T) {
			c := devnet()
			tc.change(&c)
			if n, err := eth2.NewCustomNetwork(c); n != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, %v, want %q", n, err, tc.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	if v, err := eth2.ParseVersion("0x1000091F"); err != nil || v != (eth2.Version{0x10, 0, 9, 0x1f}) {
		t.Errorf("%s, %v", v, err)
	}
	text := "0x" + strings.Repeat("0aB", 21) + "c"
	if r, err := eth2.ParseRoot(text); err != nil || r[0] != 0x0a || r[31] != 0xbc {
		t.Errorf("%x, %v", r, err)
	}
	for in, want := range map[string]string{
		"":             "does not begin with 0x",
		"10000910":     "does not begin with 0x",
		"0X10000910":   "does not begin with 0x",
		"0x1000091":    "has 7 hexadecimal digits, want 8",
		"0x1000091000": "has 10 hexadecimal digits, want 8",
		"0x1000091g":   "is not hexadecimal",
	} {
		if v, err := eth2.ParseVersion(in); err == nil || v != (eth2.Version{}) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, %v, want %q", in, v, err, want)
		}
	}
	if r, err := eth2.ParseRoot("0x00"); err == nil || r != (eth2.Root{}) {
		t.Errorf("%x, %v", r, err)
	}
}
