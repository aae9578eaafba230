package eth2_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

func TestNetworks(t *testing.T) {
	for name, want := range map[string]struct {
		root           string
		time           uint64
		genesis, last  string
		forks          int
		slots, seconds uint64
	}{
		"mainnet": {"4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95", 1606824023, "0x00000000", "0x07000000", 8, 32, 12},
		"sepolia": {"d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078", 1655733600, "0x90000069", "0x90000076", 8, 32, 12},
		"hoodi":   {"212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f", 1742213400, "0x10000910", "0x80000910", 8, 32, 12},
		"holesky": {"9143aa7c615a7f7115e2b6aac319c03529df8242ae705fba9df39b79c59fa8b1", 1695902400, "0x01017000", "0x07017000", 7, 32, 12},
		"gnosis":  {"f5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47", 1638993340, "0x00000064", "0x07000064", 8, 16, 5},
	} {
		t.Run(name, func(t *testing.T) {
			n := network(t, name)
			if got := hex.EncodeToString(n.ValidatorsRoot[:]); got != want.root {
				t.Errorf("validators root %s, want %s", got, want.root)
			}
			if n.Name != name || n.GenesisTime != want.time || n.GenesisForkVersion.String() != want.genesis {
				t.Errorf("got %s, %d, %s", n.Name, n.GenesisTime, n.GenesisForkVersion)
			}
			if n.SlotsPerEpoch != want.slots || n.SecondsPerSlot != want.seconds {
				t.Errorf("%d slots of %d s in an epoch", n.SlotsPerEpoch, n.SecondsPerSlot)
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
	for _, name := range []string{"", "Mainnet", "goerli"} {
		if n, err := eth2.NetworkByName(name); n != nil || err == nil || !strings.Contains(err.Error(), "use mainnet, sepolia, hoodi, holesky or gnosis") {
			t.Errorf("network %q: %v, %v", name, n, err)
		}
	}
}

// TestEpochLength: the same slot is in another epoch where an epoch is shorter, and so before or after a fork.
func TestEpochLength(t *testing.T) {
	const slot = 16*100 - 1 // in epoch 99 of gnosis, in epoch 49 elsewhere
	for name, epoch := range map[string]uint64{"gnosis": 99, "hoodi": 49} {
		n := network(t, name)
		f := eth2.ForkInfo{Previous: eth2.Version{1}, Current: eth2.Version{2}, ValidatorsRoot: n.ValidatorsRoot}
		for at, want := range map[uint64]eth2.Version{epoch: f.Current, epoch + 1: f.Previous} {
			f.Epoch = at
			got := n.NewAggregationSlot(f, slot).SigningRoot()
			if only := n.NewAggregationSlot(fork(n, want), slot).SigningRoot(); got != only {
				t.Errorf("%s, fork at %d: the version in force is not %s", name, at, want)
			}
		}
	}
}

// TestZeroNetwork: without a length an epoch has the 32 slots of the mainnet preset.
func TestZeroNetwork(t *testing.T) {
	hoodi, zero := network(t, "hoodi"), new(eth2.Network)
	f := eth2.ForkInfo{Previous: eth2.Version{1}, Current: eth2.Version{2}, Epoch: 50, ValidatorsRoot: hoodi.ValidatorsRoot}
	for _, slot := range []uint64{0, 32*50 - 1, 32 * 50} {
		if got, want := zero.NewAggregationSlot(f, slot).SigningRoot(), hoodi.NewAggregationSlot(f, slot).SigningRoot(); got != want {
			t.Errorf("slot %d: signing root %x, want %x", slot, got, want)
		}
	}
}

func TestForkNames(t *testing.T) {
	for f := eth2.Phase0; f <= eth2.Gloas; f++ {
		for _, name := range []string{f.String(), strings.ToUpper(f.String())} {
			if got, ok := eth2.ParseFork(name); !ok || got != f {
				t.Errorf("ParseFork(%q) = %v, %v", name, got, ok)
			}
		}
	}
	for _, name := range []string{"", "unknown", "gloas ", "heze"} {
		if got, ok := eth2.ParseFork(name); ok || got != 0 {
			t.Errorf("ParseFork(%q) = %v, %v", name, got, ok)
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
		"EXECUTION_PAYLOAD_BID":                 eth2.ExecutionPayloadBid,
		"EXECUTION_PAYLOAD_ENVELOPE":            eth2.ExecutionPayloadEnvelope,
		"PAYLOAD_ATTESTATION_MESSAGE":           eth2.PayloadAttestationMessage,
		"PAYLOAD_ATTESTATION":                   eth2.PayloadAttestationMessage,
		"PROPOSER_PREFERENCES":                  eth2.ProposerPreferences,
		"BUILDER_REQUEST_AUTH":                  eth2.BuilderRequestAuth,
		"REQUEST_AUTH":                          eth2.BuilderRequestAuth,
	} {
		for _, spelled := range []string{name, strings.ToLower(name)} {
			if got, ok := eth2.ParseKind(spelled); !ok || got != want {
				t.Errorf("ParseKind(%q) = %v, %v", spelled, got, ok)
			}
		}
	}
	for k := eth2.Attestation; k <= eth2.BuilderRequestAuth; k++ {
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
