package app

import (
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

func TestNetworkOf(t *testing.T) {
	known, err := NetworkOf(&config.Config{Network: "hoodi"})
	if err != nil || known.Name != "hoodi" {
		t.Errorf("%v, %v", known, err)
	}
	custom := config.CustomNetwork{
		GenesisValidatorsRoot: "0x" + strings.Repeat("21", 32), GenesisForkVersion: "0x10000038", SlotsPerEpoch: 8, SecondsPerSlot: 6,
		Forks: []config.CustomFork{{Name: "altair", Version: "0x20000038"}},
	}
	n, err := NetworkOf(&config.Config{Network: "custom", CustomNetwork: custom})
	if err != nil {
		t.Fatal(err)
	}
	if n.Name != "custom" || n.ValidatorsRoot[31] != 0x21 || n.GenesisForkVersion != (eth2.Version{0x10, 0, 0, 0x38}) || n.SlotsPerEpoch != 8 || n.SecondsPerSlot != 6 {
		t.Errorf("%+v", n)
	}
	for _, test := range []struct {
		spoil func(*config.CustomNetwork)
		says  string
	}{
		{func(c *config.CustomNetwork) { c.GenesisValidatorsRoot = "0x21" }, "custom_network: genesis_validators_root: "},
		{func(c *config.CustomNetwork) { c.GenesisForkVersion = "" }, "custom_network: genesis_fork_version: "},
		{func(c *config.CustomNetwork) { c.Forks = []config.CustomFork{{Name: "altair", Version: "2"}} }, "custom_network: forks[0].version: "},
		{func(c *config.CustomNetwork) { c.SlotsPerEpoch = 0 }, "custom_network: slots per epoch: is zero"},
	} {
		bad := custom
		test.spoil(&bad)
		if _, err := NetworkOf(&config.Config{Network: "custom", CustomNetwork: bad}); err == nil || !strings.HasPrefix(err.Error(), test.says) {
			t.Errorf("error %v, want %q", err, test.says)
		}
	}
}
