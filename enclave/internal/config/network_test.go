package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// customNetwork is a network that stands in no table, with all its keys. Versions stand without quotes, as in the files of other clients.
const customNetwork = `network: custom
custom_network:
  genesis_validators_root: 0xd61ea484febacfae5298d52a2b581f3e305a51f3112a9241b968dccf019f7b11
  genesis_fork_version: 0x10000038
  slots_per_epoch: 8
  seconds_per_slot: 6
  forks: [{name: altair, version: 0x20000038}, {name: bellatrix, version: "0x300000ab"}]
  genesis_time: 1764000000
`

func TestCustomNetwork(t *testing.T) {
	want := CustomNetwork{
		GenesisValidatorsRoot: "0xd61ea484febacfae5298d52a2b581f3e305a51f3112a9241b968dccf019f7b11",
		GenesisForkVersion:    "0x10000038",
		SlotsPerEpoch:         8,
		GenesisTime:           1764000000,
		SecondsPerSlot:        6,
		Forks:                 []CustomFork{{"altair", "0x20000038"}, {"bellatrix", "0x300000ab"}},
	}
	upper := strings.NewReplacer("ab\"", "AB\"", "d61ea484", "D61EA484").Replace(customNetwork)
	for _, text := range []string{customNetwork, upper} {
		c := loadYAML(t, text+"anti_slashing: {backend: noop}\n")
		if diff := cmp.Diff(want, c.CustomNetwork); diff != "" || c.Network != "custom" {
			t.Errorf("network %s (-want +got):\n%s", c.Network, diff)
		}
	}
}

func TestNetworks(t *testing.T) {
	for _, name := range []string{"mainnet", "sepolia", "hoodi", "holesky", "gnosis"} {
		if c := loadYAML(t, "network: "+name+"\nanti_slashing: {backend: noop}\n"); c.Network != name {
			t.Errorf("got %s, want %s", c.Network, name)
		}
	}
}

// TestAllForks takes every fork that is known, and no more.
func TestAllForks(t *testing.T) {
	const base = "anti_slashing: {backend: noop}\nnetwork: custom\ncustom_network:\n  genesis_validators_root: 0xd61ea484febacfae5298d52a2b581f3e305a51f3112a9241b968dccf019f7b11\n" +
		"  genesis_fork_version: 0x00000000\n"
	all := "  forks:\n"
	names := []string{"altair", "bellatrix", "capella", "deneb", "electra", "fulu", "gloas"}
	for i, name := range names {
		all += "    - {name: " + name + ", version: 0x0000000" + string(rune('1'+i)) + "}\n"
	}
	if got := loadYAML(t, base).CustomNetwork.Forks; len(got) != 0 {
		t.Errorf("without forks: got %v", got)
	}
	if got := loadYAML(t, base+all).CustomNetwork.Forks; len(got) != len(names) || got[6] != (CustomFork{"gloas", "0x00000007"}) {
		t.Errorf("got %v", got)
	}
	got := refused(t, Sources{YAML: []byte(base + all + "    - {name: gloas, version: 0x00000008}\n")})
	if want := "configuration:7: custom_network.forks: entry 8: no fork after gloas is known"; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBadNetworks changes one thing in a network that is accepted and expects one reason.
func TestBadNetworks(t *testing.T) {
	const section, root, genesis, forks = "custom_network.", "genesis_validators_root: ", "genesis_fork_version: ", "7: custom_network.forks: "
	const order = ": forks are listed from altair on, in their order and without a gap"
	for _, test := range []struct{ name, from, to, want string }{
		{"another network", "network: custom\n", "network: gnosis\n", "7: custom_network.forks: describes network custom, but network is gnosis: take the section custom_network away, or set network to custom"},
		{"no root", root, "#", section + "genesis_validators_root: must be set: network custom is known by nothing else"},
		{"empty root", root + "0xd61ea484febacfae5298d52a2b581f3e305a51f3112a9241b968dccf019f7b11", root + "''", "3: custom_network.genesis_validators_root: must be set"},
		{"no genesis version", genesis, "#", section + "genesis_fork_version: must be set: network custom signs validator registrations for it"},
		{"short root", "9f7b11", "9f7b", "3: custom_network.genesis_validators_root: want 0x and 64 hexadecimal digits"},
		{"root without prefix", "0xd61e", "d61e", "3: custom_network.genesis_validators_root: want 0x and 64 hexadecimal digits"},
		{"root in other digits", "d61e", "g61e", "3: custom_network.genesis_validators_root: want 0x and 64 hexadecimal digits"},
		{"long version", genesis + "0x", genesis + "0x00", "4: custom_network.genesis_fork_version: want 0x and 8 hexadecimal digits"},
		{"decimal version", "0x10000038", "10000038", "4: custom_network.genesis_fork_version: want 0x and 8 hexadecimal digits"},
		{"upper case prefix", "0x10000038", "'0X10000038'", "4: custom_network.genesis_fork_version: want 0x and 8 hexadecimal digits"},
		{"list for a version", "0x10000038", "[0x10000038]", "4: custom_network.genesis_fork_version: want 0x and 8 hexadecimal digits"},
		{"boolean for a version", "0x10000038", "true", "4: custom_network.genesis_fork_version: want"},
		{"no slots", "slots_per_epoch: 8", "slots_per_epoch: 0", "5: custom_network.slots_per_epoch: want a whole number from 1 to 1024"},
		{"too many slots", "slots_per_epoch: 8", "slots_per_epoch: 1025", "5: custom_network.slots_per_epoch: want a whole number from 1 to 1024"},
		{"slots of no time", "seconds_per_slot: 6", "seconds_per_slot: 0", "6: custom_network.seconds_per_slot: want a whole number from 1 to 3600"},
		{"slots of hours", "seconds_per_slot: 6", "seconds_per_slot: 3601", "6: custom_network.seconds_per_slot: want a whole number from 1 to 3600"},
		{"unknown fork", "altair", "atlair", forks[:23] + ".name: want one of altair, bellatrix, capella, deneb, electra, fulu, gloas"},
		{"phase0 among the forks", "altair", "phase0", forks[:23] + ".name: want one of altair, "},
		{"empty fork", "altair", "''", forks + "entry 1: name: want altair" + order},
		{"gap", "bellatrix", "capella", forks + "entry 2: name: want bellatrix" + order},
		{"gap at the beginning", "{name: altair, version: 0x20000038}, ", "", forks + "entry 1: name: want altair" + order},
		{"fork twice", "bellatrix", "altair", forks + "entry 2: name: want bellatrix" + order},
		{"version twice", "0x300000ab", "0x20000038", forks + "entry 2: version: is that of altair"},
		{"version of genesis", "0x20000038", "0x10000038", forks + "entry 1: version: is that of genesis_fork_version"},
		{"empty version", "0x300000ab", "", forks + "entry 2: version: must be set"},
		{"version that is none", "0x300000ab", "0x3", forks[:23] + ".version: want 0x and 8 hexadecimal digits"},
		{"fork without version", `, version: "0x300000ab"`, "", forks + "entry 2: has no version"},
		{"fork with an epoch", "name: altair,", "name: altair, epoch: 0,", forks[:23] + ".epoch: unknown key, nearest known: name"},
		{"forks by name", "{name: altair, version: 0x20000038}", "altair", forks + "entry 1: want a list of entries with name, version"},
	} {
		t.Run(test.name, func(t *testing.T) {
			yaml := strings.Replace(customNetwork, test.from, test.to, 1)
			if yaml == customNetwork {
				t.Fatalf("%q does not stand in the base", test.from)
			}
			got := refused(t, Sources{YAML: []byte(yaml + "anti_slashing: {backend: noop}\n")})
			if len(got) != 1 || !strings.HasPrefix(strings.TrimPrefix(got[0], "configuration:"), test.want) {
				t.Errorf("got\n\t%s\nwant %q", strings.Join(got, "\n\t"), test.want)
			}
		})
	}
}

func TestCanaryKeys(t *testing.T) {
	one, two := strings.Repeat("ab", 48), strings.Repeat("01", 48)
	c := loadYAML(t, least+"signing: {canary_keys: ["+strings.ToUpper(one)+", 0x"+two+"]}\n")
	if diff := cmp.Diff([]string{"0x" + one, "0x" + two}, c.Signing.CanaryKeys); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, test := range []struct{ name, keys, want string }{
		{"short", "0x" + one[2:], "item 1: want a public key, 96 hexadecimal digits with or without 0x"},
		{"long", "0x" + two + ", 0x" + one + "00", "item 2: want a public key"},
		{"other digits", "0x" + strings.Repeat("zz", 48), "item 1: want a public key"},
		{"upper case prefix", "0X" + one, "item 1: want a public key"},
		{"prefix twice", "0x0x" + one, "item 1: want a public key"},
		{"twice", one + ", 0x" + two + ", 0x" + strings.ToUpper(one), "item 3: is the same key as item 1"},
		{"number", "12", "item 1: want text, found int: put it in quotes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := refused(t, Sources{YAML: []byte(least + "signing: {canary_keys: [" + test.keys + "]}\n")})
			if len(got) != 1 || !strings.HasPrefix(got[0], "configuration:3: signing.canary_keys: "+test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
