package eth2_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// TestExit is the rule of EIP-7044 for hoodi, for each version that a client may send.
func TestExit(t *testing.T) {
	hoodi := network(t, "hoodi")
	const capella = "227fbffbd76e04308b23ba6aa2c2a1de91d8d2d96a61a4a2cd83b59ecf21e21f"
	version := func(first byte) eth2.Version { return eth2.Version{first, 0, 9, 0x10} }
	unknown := eth2.Version{0x0a, 0x0b, 0x0c, 0x0d}
	for name, tc := range map[string]struct {
		previous, current eth2.Version
		epoch             uint64
		want              string
	}{
		"phase0":                        {version(0x10), version(0x10), 0, "70fc80783702518e5218dfe1e19410635dbd111a01406236c57d75f5bf462830"},
		"altair":                        {version(0x20), version(0x20), 0, "f890825c6add9b4337c12362d84eb8a3c64cc9c29162883cbcae3627c74d3b4b"},
		"bellatrix":                     {version(0x30), version(0x30), 0, "2264baa371a48329b1e715cb615ae5095e5a85b7986127f554de3c4117071d52"},
		"capella, as lodestar sends":    {version(0x40), version(0x40), 0, capella},
		"deneb":                         {version(0x50), version(0x50), 0, capella},
		"electra":                       {version(0x60), version(0x60), 0, capella},
		"fulu, as prysm sends":          {version(0x60), version(0x70), 50688, capella},
		"electra, before the fork":      {version(0x60), version(0x70), 50701, capella},
		"bellatrix, before the fork":    {version(0x30), version(0x40), 50701, "2264baa371a48329b1e715cb615ae5095e5a85b7986127f554de3c4117071d52"},
		"unknown version is as sent":    {unknown, unknown, 0, "c8a536c2104f47a569583f36a08b4ad5a7f41898910798c388ec6bf8d95e66ab"},
		"unknown, but previous is fulu": {version(0x70), unknown, 50701, capella},
	} {
		t.Run(name, func(t *testing.T) {
			f := eth2.ForkInfo{Previous: tc.previous, Current: tc.current, Epoch: tc.epoch, ValidatorsRoot: hoodi.ValidatorsRoot}
			checkRoot(t, hoodi.NewVoluntaryExit(f, eth2.Exit{Epoch: 50700, ValidatorIndex: 9}, nil), tc.want)
		})
	}
	t.Run("unknown version, and capella's root is claimed", func(t *testing.T) {
		claimed, err := eth2.ParseRoot("0x" + capella)
		if err != nil {
			t.Fatal(err)
		}
		e := eth2.Exit{Epoch: 50700, ValidatorIndex: 9}
		checkRoot(t, hoodi.NewVoluntaryExit(fork(hoodi, unknown), e, &claimed), capella)
		// A known version leaves nothing open, and a root that is neither chooses nothing.
		checkRoot(t, hoodi.NewVoluntaryExit(fork(hoodi, version(0x30)), e, &claimed),
			"2264baa371a48329b1e715cb615ae5095e5a85b7986127f554de3c4117071d52")
		claimed[0] ^= 1
		checkRoot(t, hoodi.NewVoluntaryExit(fork(hoodi, unknown), e, &claimed),
			"c8a536c2104f47a569583f36a08b4ad5a7f41898910798c388ec6bf8d95e66ab")
	})
	t.Run("network without a table", func(t *testing.T) {
		f := fork(hoodi, version(0x70))
		checkRoot(t, new(eth2.Network).NewVoluntaryExit(f, eth2.Exit{Epoch: 50700, ValidatorIndex: 9}, nil),
			"4eaf462e5ae762285e9446ceb2c7faa384cf38a2544422f4298b4b74583463c2")
	})
}

func TestAggregate(t *testing.T) {
	hoodi, mainnet := network(t, "hoodi"), network(t, "mainnet")
	bits, err := hex.DecodeString(strings.Repeat("499224", 12) + "4912") // 300 bits, every third set
	if err != nil {
		t.Fatal(err)
	}
	version := func(first byte) eth2.Version { return eth2.Version{first, 0, 9, 0x10} }
	unknown := eth2.Version{0x0a, 0x0b, 0x0c, 0x0d}
	for name, tc := range map[string]struct {
		network       *eth2.Network
		version       eth2.Version
		committeeBits bool
		want, refusal string
	}{
		"deneb":                     {hoodi, version(0x50), false, "bb68f23062b4857f142f5eb7c5671b621e2848f5804a1213cd97fe94051d7b79", ""},
		"electra":                   {hoodi, version(0x60), true, "35faf16e7c09b8d19f65eda2fd43b418e1249e0c6e4dd32151bbdcf84ce8ccac", ""},
		"fulu":                      {hoodi, version(0x70), true, "2cf9ba844af5df2d3b70bfda697cfac9148c76664efe93a481a20e806f5d93e4", ""},
		"unknown, committee bits":   {hoodi, unknown, true, "", "fork version 0x0a0b0c0d is not known, and without signingRoot electra's container cannot be told from gloas's"},
		"unknown, none":             {hoodi, unknown, false, "e35545b0253c0d17dc7ec5dc556618df8ce7a8dcb6972fa13ca9882b0ba21174", ""},
		"deneb, committee bits":     {hoodi, version(0x50), true, "", "committee_bits is given, but fork version 0x50000910 is that of deneb"},
		"phase0, committee bits":    {hoodi, version(0x10), true, "", "committee_bits is given, but fork version 0x10000910 is that of phase0"},
		"electra, no committeebits": {hoodi, version(0x60), false, "", "committee_bits is missing, and fork version 0x60000910 is that of electra"},
		"gloas, no committee bits":  {mainnet, eth2.Version{7}, false, "", "committee_bits is missing, and fork version 0x07000000 is that of gloas"},
	} {
		t.Run(name, func(t *testing.T) {
			a := eth2.Aggregate{
				AggregatorIndex: 7, AggregationBits: bits, Data: vote(),
				Signature: [96]byte(filled(0x33, 96)), SelectionProof: [96]byte(filled(0x44, 96)),
			}
			if tc.committeeBits {
				a.CommitteeBits = &[8]byte{5}
			}
			req, err := tc.network.NewAggregateAndProof(fork(tc.network, tc.version), a, nil)
			if tc.refusal != "" {
				if err == nil || err.Error() != tc.refusal || req != nil {
					t.Fatalf("got %v, %v, want %q", req, err, tc.refusal)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkRoot(t, req, tc.want)
		})
	}
}

// TestProgressiveContainerOfUnknownFork: it may have more fields than Gloas's, which only a claimed root can tell.
func TestProgressiveContainerOfUnknownFork(t *testing.T) {
	hoodi := network(t, "hoodi")
	for name, build := range map[string]func(eth2.ForkInfo, *eth2.Root) (*eth2.DutyRequest, error){
		"bid": func(f eth2.ForkInfo, claimed *eth2.Root) (*eth2.DutyRequest, error) {
			return hoodi.NewExecutionPayloadBid(f, eth2.Bid{Slot: 5}, claimed)
		},
		"envelope": func(f eth2.ForkInfo, claimed *eth2.Root) (*eth2.DutyRequest, error) {
			return hoodi.NewExecutionPayloadEnvelope(f, eth2.Envelope{BuilderIndex: 5}, claimed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			gloas, later := fork(hoodi, eth2.Version{0x80, 0, 9, 0x10}), fork(hoodi, eth2.Version{0x90, 0, 9, 0x10})
			if _, err := build(gloas, nil); err != nil {
				t.Error(err)
			}
			if _, err := build(later, &eth2.Root{}); err != nil {
				t.Error(err)
			}
			if req, err := build(later, nil); req != nil || err == nil || !strings.Contains(err.Error(), "that of fork version 0x90000910, which is not known") {
				t.Errorf("%v, %v", req, err)
			}
			// The version in force counts: before the fork it is the previous one.
			gloas.Current, gloas.Epoch = later.Current, 1
			if _, err := build(gloas, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAggregateOfUnknownFork: the claimed root chooses between the two containers that have committee bits.
func TestAggregateOfUnknownFork(t *testing.T) {
	known, unknown := network(t, "hoodi"), &eth2.Network{SlotsPerEpoch: 32}
	a := eth2.Aggregate{AggregatorIndex: 7, AggregationBits: []byte{0x24, 0x01}, Data: vote(), CommitteeBits: &[8]byte{5}}
	for _, v := range []eth2.Version{{0x70, 0, 9, 0x10}, {0x80, 0, 9, 0x10}} {
		f := fork(known, v)
		want, err := known.NewAggregateAndProof(f, a, nil)
		if err != nil {
			t.Fatal(err)
		}
		claimed := want.SigningRoot()
		got, err := unknown.NewAggregateAndProof(f, a, &claimed)
		if err != nil {
			t.Fatal(err)
		}
		if got.SigningRoot() != claimed {
			t.Errorf("version %s: signing root %x, want %x", v, got.SigningRoot(), claimed)
		}
		claimed[31] ^= 1
		got, err = unknown.NewAggregateAndProof(f, a, &claimed)
		if err == nil || got != nil || !strings.Contains(err.Error(), "signingRoot is neither that of electra's container, 0x") {
			t.Errorf("another root: %v, %v", got, err)
		}
	}
	a.AggregationBits = nil
	if _, err := unknown.NewAggregateAndProof(fork(known, eth2.Version{9}), a, &eth2.Root{}); err == nil || !strings.Contains(err.Error(), "length bit") {
		t.Errorf("no bits: %v", err)
	}
}
