package eth2

import (
	"encoding/hex"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

func hexOf(r eth2.Root) string { return hex.EncodeToString(r[:]) }

// dialect is a body in the shape in which a client sends it, and what it must be read as.
type dialect struct {
	client, what string
	body         string
	kind         eth2.Kind
	root         string
}

const (
	hoodiRoot = `"genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"`
	// fuluFork is the fork as most clients send it.
	fuluFork = `"fork_info":{"fork":{"previous_version":"0x60000910","current_version":"0x70000910","epoch":"50688"},` + hoodiRoot + `}`
	// messageFork has the epoch of the message where the fork's belongs.
	messageFork = `"fork_info":{"fork":{"previous_version":"0x60000910","current_version":"0x70000910","epoch":"50690"},` + hoodiRoot + `}`
	// capellaFork is what is sent for an exit by clients that see to EIP-7044 themselves.
	capellaFork = `"fork_info":{"fork":{"previous_version":"0x40000910","current_version":"0x40000910","epoch":"0"},` + hoodiRoot + `}`

	voteFields = `"attestation":{"slot":"1622080","index":"0","beacon_block_root":"0xabababababababababababababababababababababababababababababababab",` +
		`"source":{"epoch":"50689","root":"0x0101010101010101010101010101010101010101010101010101010101010101"},` +
		`"target":{"epoch":"50690","root":"0x0202020202020202020202020202020202020202020202020202020202020202"}}`
	headerFields = `"block_header":{"slot":"64","proposer_index":"5",` +
		`"parent_root":"0x0101010101010101010101010101010101010101010101010101010101010101",` +
		`"state_root":"0x0202020202020202020202020202020202020202020202020202020202020202",` +
		`"body_root":"0x0303030303030303030303030303030303030303030303030303030303030303"}`
	registrationFields = `"validator_registration":{"fee_recipient":"0x1111111111111111111111111111111111111111","gas_limit":"30000000",` +
		`"timestamp":"1742213400","pubkey":"0x222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222222"}`

	voteRoot         = "f14f2fa173f64ffffc7dd412abb9672c2e3618be82eaaf149d2d7ce8036d7793"
	exitRoot         = "227fbffbd76e04308b23ba6aa2c2a1de91d8d2d96a61a4a2cd83b59ecf21e21f"
	registrationRoot = "69120474e02ef6566e58ed6f89493d7064662b2d45eab7ae3271295904890005"
)

// dialects are the shapes in which clients differ. The roots come from other implementations: see eth2's tests.
func dialects() []dialect {
	root := func(r string) string { return `"signingRoot":"0x` + r + `",` }
	return []dialect{
		{"lighthouse", "attestation", `{"type":"ATTESTATION",` + fuluFork + `,` + root(voteRoot) + voteFields + `}`, eth2.Attestation, voteRoot},
		{"prysm", "attestation", `{"type":"ATTESTATION",` + fuluFork + `,` + root(voteRoot) + voteFields + `}`, eth2.Attestation, voteRoot},
		{"teku", "attestation", `{` + root(voteRoot) + voteFields + `,` + fuluFork + `,"type":"ATTESTATION"}`, eth2.Attestation, voteRoot},
		{"lodestar", "attestation, fork.epoch is the message's", `{` + voteFields + `,"type":"ATTESTATION",` + root(voteRoot) + messageFork + `}`, eth2.Attestation, voteRoot},
		{"nimbus", "attestation", `{"type":"ATTESTATION",` + root(voteRoot) + fuluFork + `,` + voteFields + `}`, eth2.Attestation, voteRoot},

		{"lighthouse", "exit, both versions capella", exitBody(capellaFork, exitRoot), eth2.VoluntaryExit, exitRoot},
		{"prysm", "exit, current fork", exitBody(fuluFork, exitRoot), eth2.VoluntaryExit, exitRoot},
		{"lodestar", "exit, capella", exitBody(capellaFork, exitRoot), eth2.VoluntaryExit, exitRoot},

		{"lighthouse", "registration", `{"type":"VALIDATOR_REGISTRATION",` + root(registrationRoot) + registrationFields + `}`, eth2.ValidatorRegistration, registrationRoot},
		{
			"nimbus", "registration, fork_info with a zero root",
			`{"type":"VALIDATOR_REGISTRATION","fork_info":{"fork":{"previous_version":"0x60000910","current_version":"0x70000910","epoch":"50688"},` +
				`"genesis_validators_root":"0x0000000000000000000000000000000000000000000000000000000000000000"},` + root(registrationRoot) + registrationFields + `}`,
			eth2.ValidatorRegistration, registrationRoot,
		},
		{"teku", "block", blockBody("FULU"), eth2.Block, "5119eb41a77f86702c01035e5c603de68849d9e400eee9fff8bbd635ce41f6ac"},
		{"lighthouse", "block of a later fork", blockBody("HEZE"), eth2.Block, "5119eb41a77f86702c01035e5c603de68849d9e400eee9fff8bbd635ce41f6ac"},
		{"nimbus", "block with proofs", replaceLast(blockBody("FULU"), `,"proofs":[{"index":"401","proof":["0x00"],"value":"0x11"}]}`), eth2.Block, "5119eb41a77f86702c01035e5c603de68849d9e400eee9fff8bbd635ce41f6ac"},
	}
}

// replaceLast puts what follows in place of the closing brace.
func replaceLast(body, end string) string { return body[:len(body)-1] + end }

func exitBody(fork, root string) string {
	return `{"type":"VOLUNTARY_EXIT",` + fork + `,"signingRoot":"0x` + root + `","voluntary_exit":{"epoch":"50700","validator_index":"9"}}`
}

func blockBody(version string) string {
	// The fork's epoch is 0: the header's slot is long before Fulu.
	fork := `"fork_info":{"fork":{"previous_version":"0x70000910","current_version":"0x70000910","epoch":"0"},` + hoodiRoot + `}`
	return `{"type":"BLOCK_V2",` + fork + `,"beacon_block":{"version":"` + version + `",` + headerFields + `}}`
}

// TestDialects: what the clients send is understood, and alike. The shapes of Gloas and of aggregates are in the
// golden files.
func TestDialects(t *testing.T) {
	clients := map[string]bool{}
	for _, d := range dialects() {
		clients[d.client] = true
		t.Run(d.client+" "+d.what, func(t *testing.T) {
			kind, req, err := decode(hoodi(t), []byte(d.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := hexOf(req.SigningRoot()); kind != d.kind || got != d.root {
				t.Errorf("%s %s, want %s %s", kind, got, d.kind, d.root)
			}
		})
	}
	if len(clients) != 5 {
		t.Errorf("%d clients, want 5", len(clients))
	}
}

// TestForkEpochIsNotJudged: only which version is in force depends on it.
func TestForkEpochIsNotJudged(t *testing.T) {
	for _, epoch := range []string{"0", "50688", "50690"} {
		_, req, err := decode(hoodi(t), []byte(replace(t, attestationBody, `"epoch":"50688"`, `"epoch":"`+epoch+`"`)))
		if err != nil {
			t.Fatal(err)
		}
		if got := hexOf(req.SigningRoot()); got != voteRoot {
			t.Errorf("fork.epoch %s: %s, want %s", epoch, got, voteRoot)
		}
	}
}

// TestAggregateOfUnknownVersion: a network without a table takes the container whose root the client claims.
func TestAggregateOfUnknownVersion(t *testing.T) {
	unknown := &eth2.Network{Name: "unknown", SlotsPerEpoch: 32}
	body := goldenBody(t, "AGGREGATE_AND_PROOF_V2 300 bits")
	if _, _, err := decode(unknown, []byte(body)); err != nil {
		t.Error(err)
	}
	_, req, err := decode(unknown, []byte(replace(t, body, "signingRoot", "unread")))
	checkMalformed(t, req, err, "aggregate_and_proof.data.aggregate: fork version 0x80000910 is not known, and without signingRoot")
}
