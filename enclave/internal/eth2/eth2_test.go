package eth2_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// The expected roots were computed by a separate program, written from the specification in another language.

func network(tb testing.TB, name string) *eth2.Network {
	tb.Helper()
	n, err := eth2.NetworkByName(name)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func checkRoot(t *testing.T, req eth2.Request, want string) {
	t.Helper()
	root := req.SigningRoot()
	if got := hex.EncodeToString(root[:]); got != want {
		t.Errorf("signing root %s, want %s", got, want)
	}
}

// filled is n bytes b.
func filled(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func root(b byte) eth2.Root { return eth2.Root(filled(b, 32)) }

func vote() eth2.AttestationData {
	return eth2.AttestationData{
		Slot:            1622080,
		BeaconBlockRoot: root(0xab),
		Source:          eth2.Checkpoint{Epoch: 50689, Root: root(1)},
		Target:          eth2.Checkpoint{Epoch: 50690, Root: root(2)},
	}
}

// fork is one version from the beginning of the chain on.
func fork(n *eth2.Network, v eth2.Version) eth2.ForkInfo {
	return eth2.ForkInfo{Previous: v, Current: v, ValidatorsRoot: n.ValidatorsRoot}
}

func TestRoots(t *testing.T) {
	hoodi := network(t, "hoodi")
	fulu := fork(hoodi, eth2.Version{0x70, 0, 9, 0x10})
	var bits [16]byte
	for i := range bits {
		bits[i] = byte(i)
	}
	for name, tc := range map[string]struct {
		req  eth2.Request
		kind eth2.Kind
		want string
	}{
		"attestation": {
			eth2.NewAttestation(fulu, vote()), eth2.Attestation,
			"f14f2fa173f64ffffc7dd412abb9672c2e3618be82eaaf149d2d7ce8036d7793",
		},
		"block": {
			eth2.NewBlock(fulu, eth2.BlockHeader{Slot: 64, ProposerIndex: 5, ParentRoot: root(1), StateRoot: root(2), BodyRoot: root(3)}),
			eth2.Block, "5119eb41a77f86702c01035e5c603de68849d9e400eee9fff8bbd635ce41f6ac",
		},
		"contribution": {
			eth2.NewContributionAndProof(fulu, eth2.ContributionAndProof{
				AggregatorIndex: 3, Slot: 64, BeaconBlockRoot: root(5), SubcommitteeIndex: 2, AggregationBits: bits,
				ContributionSignature: [96]byte(filled(0x33, 96)), SelectionProof: [96]byte(filled(0x44, 96)),
			}),
			eth2.SyncCommitteeContributionAndProof, "1c8b2d3895c84f80955117b33123935dee52686430730c9a729606424323bd1e",
		},
		"deposit": {
			eth2.NewDeposit(eth2.DepositMessage{
				PublicKey: [48]byte(filled(0x22, 48)), WithdrawalCredentials: root(0x66), Amount: 32e9,
				GenesisForkVersion: hoodi.GenesisForkVersion,
			}),
			eth2.Deposit, "7f0e9b1ae0bbe2bd1b7f17fc64eadaf31c4b5dabf91a12aa9bf105eb43ac8ad3",
		},
	} {
		t.Run(name, func(t *testing.T) {
			checkRoot(t, tc.req, tc.want)
			if tc.req.Kind() != tc.kind {
				t.Errorf("kind %v, want %v", tc.req.Kind(), tc.kind)
			}
			got, ok := tc.req.ValidatorsRoot()
			if onChain := tc.kind != eth2.Deposit; ok != onChain || (ok && got != hoodi.ValidatorsRoot) {
				t.Errorf("validators root %x, %v", got, ok)
			}
		})
	}
}

func TestRegistrationIsForTheNetwork(t *testing.T) {
	for name, want := range map[string]string{
		"mainnet": "3f224c3f3bdd0f0e27c2193cd8b7e6fb431de6dab07186673b23a6ca34eedf44",
		"sepolia": "32800772543dcd7097f6fefc52fe906a6e5f8f905bf29337abb4d0139a1c3cc5",
		"hoodi":   "69120474e02ef6566e58ed6f89493d7064662b2d45eab7ae3271295904890005",
	} {
		t.Run(name, func(t *testing.T) {
			req := network(t, name).NewValidatorRegistration(eth2.Registration{
				FeeRecipient: [20]byte(filled(0x11, 20)), GasLimit: 30e6, Timestamp: 1742213400, PublicKey: [48]byte(filled(0x22, 48)),
			})
			checkRoot(t, req, want)
			if _, ok := req.ValidatorsRoot(); ok {
				t.Error("a registration has no validators root to compare")
			}
		})
	}
}

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
			checkRoot(t, hoodi.NewVoluntaryExit(f, eth2.Exit{Epoch: 50700, ValidatorIndex: 9}), tc.want)
		})
	}
	t.Run("network without a table", func(t *testing.T) {
		f := fork(hoodi, version(0x70))
		checkRoot(t, new(eth2.Network).NewVoluntaryExit(f, eth2.Exit{Epoch: 50700, ValidatorIndex: 9}),
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
		"unknown, committee bits":   {hoodi, unknown, true, "599c6e5ab4a1e772f96e153261b36e46967ae7952a920289c782f3b3f60e250c", ""},
		"unknown, none":             {hoodi, unknown, false, "e35545b0253c0d17dc7ec5dc556618df8ce7a8dcb6972fa13ca9882b0ba21174", ""},
		"deneb, committee bits":     {hoodi, version(0x50), true, "", "committee_bits is given, but fork version 0x50000910 is that of deneb"},
		"phase0, committee bits":    {hoodi, version(0x10), true, "", "committee_bits is given, but fork version 0x10000910 is that of phase0"},
		"electra, no committeebits": {hoodi, version(0x60), false, "", "committee_bits is missing, and fork version 0x60000910 is that of electra"},
		"gloas":                     {mainnet, eth2.Version{7}, true, "", "aggregates of gloas (fork version 0x07000000) cannot be signed yet"},
	} {
		t.Run(name, func(t *testing.T) {
			a := eth2.Aggregate{
				AggregatorIndex: 7, AggregationBits: bits, Data: vote(),
				Signature: [96]byte(filled(0x33, 96)), SelectionProof: [96]byte(filled(0x44, 96)),
			}
			if tc.committeeBits {
				a.CommitteeBits = &[8]byte{5}
			}
			req, err := tc.network.NewAggregateAndProof(fork(tc.network, tc.version), a)
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

// TestVersionInForce: an epoch before the fork's takes the previous version, whatever the kind calls its epoch.
func TestVersionInForce(t *testing.T) {
	hoodi := network(t, "hoodi")
	electra, fulu := eth2.Version{0x60, 0, 9, 0x10}, eth2.Version{0x70, 0, 9, 0x10}
	const epoch, slot = 100, 100 * eth2.SlotsPerEpoch
	for name, build := range map[string]func(f eth2.ForkInfo, before uint64) eth2.Request{
		"attestation by target": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return eth2.NewAttestation(f, eth2.AttestationData{Target: eth2.Checkpoint{Epoch: epoch - before}})
		},
		"block by slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return eth2.NewBlock(f, eth2.BlockHeader{Slot: slot - before})
		},
		"aggregation slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return eth2.NewAggregationSlot(f, slot-before)
		},
		"randao by epoch": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return eth2.NewRandaoReveal(f, epoch-before)
		},
		"sync message by slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return eth2.NewSyncCommitteeMessage(f, slot-before, root(1))
		},
		"sync selection by slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return eth2.NewSyncCommitteeSelectionProof(f, slot-before, 1)
		},
		"contribution by slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			return eth2.NewContributionAndProof(f, eth2.ContributionAndProof{Slot: slot - before})
		},
		"aggregate by data.slot": func(f eth2.ForkInfo, before uint64) eth2.Request {
			req, err := hoodi.NewAggregateAndProof(f, eth2.Aggregate{
				AggregationBits: []byte{1}, CommitteeBits: &[8]byte{1},
				Data: eth2.AttestationData{Slot: slot - before, Target: eth2.Checkpoint{Epoch: epoch}},
			})
			if err != nil {
				t.Fatal(err)
			}
			return req
		},
	} {
		t.Run(name, func(t *testing.T) {
			atFork := eth2.ForkInfo{Previous: electra, Current: fulu, Epoch: epoch, ValidatorsRoot: hoodi.ValidatorsRoot}
			for _, before := range []uint64{0, 1} {
				want := build(fork(hoodi, []eth2.Version{fulu, electra}[before]), before)
				if got := build(atFork, before); got.SigningRoot() != want.SigningRoot() {
					t.Errorf("%d before the fork: signing root %x, want %x", before, got.SigningRoot(), want.SigningRoot())
				}
			}
		})
	}
}

// TestAttestationAllocates one thing: the request.
func TestAttestationAllocates(t *testing.T) {
	f, d := fork(network(t, "hoodi"), eth2.Version{0x70, 0, 9, 0x10}), vote()
	if n := testing.AllocsPerRun(100, func() { eth2.NewAttestation(f, d).SigningRoot() }); n > 1 {
		t.Errorf("%v allocations, want at most 1", n)
	}
}

func BenchmarkNewAttestation(b *testing.B) {
	f, d := fork(network(b, "hoodi"), eth2.Version{0x70, 0, 9, 0x10}), vote()
	b.ReportAllocs()
	for b.Loop() {
		eth2.NewAttestation(f, d)
	}
}
