package eth2_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

func TestNetworks(t *testing.T) {
	for name, want := range map[string]struct {
		root    string
		time    uint64
		genesis string
		last    string
		forks   int
	}{
		"mainnet": {"4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95", 1606824023, "0x00000000", "0x07000000", 8},
		"sepolia": {"d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078", 1655733600, "0x90000069", "0x90000076", 8},
		"hoodi":   {"212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f", 1742213400, "0x10000910", "0x70000910", 7},
	} {
		t.Run(name, func(t *testing.T) {
			n := network(t, name)
			if got := hex.EncodeToString(n.ValidatorsRoot[:]); got != want.root {
				t.Errorf("validators root %s, want %s", got, want.root)
			}
			if n.Name != name || n.GenesisTime != want.time || n.GenesisForkVersion.String() != want.genesis {
				t.Errorf("got %s, %d, %s", n.Name, n.GenesisTime, n.GenesisForkVersion)
			}
			if n.Versions[0] != n.GenesisForkVersion || len(n.Versions) != want.forks || n.Versions[want.forks-1].String() != want.last {
				t.Errorf("versions %v, want %d ending with %s", n.Versions, want.forks, want.last)
			}
			seen := map[eth2.Version]bool{}
			for _, v := range n.Versions {
				if seen[v] {
					t.Errorf("version %s stands twice", v)
				}
				seen[v] = true
			}
		})
	}
	for _, name := range []string{"", "Mainnet", "holesky"} {
		if n, err := eth2.NetworkByName(name); n != nil || err == nil || !strings.Contains(err.Error(), "use mainnet, sepolia or hoodi") {
			t.Errorf("network %q: %v, %v", name, n, err)
		}
	}
}

func TestKindNames(t *testing.T) {
	for name, want := range map[string]eth2.Kind{
		"ATTESTATION":                           eth2.Attestation,
		"BLOCK":                                 eth2.Block,
		"BLOCK_V2":                              eth2.Block,
		"AGGREGATION_SLOT":                      eth2.AggregationSlot,
		"AGGREGATE_AND_PROOF":                   eth2.AggregateAndProof,
		"AGGREGATE_AND_PROOF_V2":                eth2.AggregateAndProof,
		"DEPOSIT":                               eth2.Deposit,
		"RANDAO_REVEAL":                         eth2.RandaoReveal,
		"VOLUNTARY_EXIT":                        eth2.VoluntaryExit,
		"SYNC_COMMITTEE_MESSAGE":                eth2.SyncCommitteeMessage,
		"SYNC_COMMITTEE_SELECTION_PROOF":        eth2.SyncCommitteeSelectionProof,
		"SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF": eth2.SyncCommitteeContributionAndProof,
		"VALIDATOR_REGISTRATION":                eth2.ValidatorRegistration,
	} {
		for _, spelled := range []string{name, strings.ToLower(name)} {
			if got, ok := eth2.ParseKind(spelled); !ok || got != want {
				t.Errorf("ParseKind(%q) = %v, %v", spelled, got, ok)
			}
		}
	}
	for k := eth2.Attestation; k <= eth2.ValidatorRegistration; k++ {
		if got, ok := eth2.ParseKind(k.String()); !ok || got != k {
			t.Errorf("ParseKind(%q) = %v, %v, want %d", k, got, ok, k)
		}
	}
	for _, name := range []string{"", "UNKNOWN", "ATTESTATION ", "GENERIC"} {
		if got, ok := eth2.ParseKind(name); ok || got != 0 {
			t.Errorf("ParseKind(%q) = %v, %v", name, got, ok)
		}
	}
	if got := eth2.Kind(0).String(); got != "UNKNOWN" {
		t.Errorf("no kind is %q", got)
	}
}
