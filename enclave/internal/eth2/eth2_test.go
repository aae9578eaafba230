package eth2_test

import (
	"bytes"
	"encoding/hex"
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
			hoodi.NewBlock(fulu, eth2.BlockHeader{Slot: 64, ProposerIndex: 5, ParentRoot: root(1), StateRoot: root(2), BodyRoot: root(3)}),
			eth2.Block, "5119eb41a77f86702c01035e5c603de68849d9e400eee9fff8bbd635ce41f6ac",
		},
		"contribution": {
			hoodi.NewContributionAndProof(fulu, eth2.ContributionAndProof{
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
