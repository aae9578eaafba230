package eth2

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

type goldenCase struct {
	Name string          `json:"name"`
	Body json.RawMessage `json:"body"`
}

// goldenNetwork is where the golden cases come from: a test network that is in no table.
func goldenNetwork() *eth2.Network {
	return &eth2.Network{Name: "golden", GenesisForkVersion: eth2.Version{0, 0, 0, 1}, SlotsPerEpoch: 32}
}

// golden are the examples of Web3Signer's own description of its API.
func golden(tb testing.TB) []goldenCase { return goldenFile(tb, "golden-sign.json", 25) }

// goldenGloas are requests on hoodi whose signing roots were computed with @lodestar/types, in every shape that
// clients send.
func goldenGloas(tb testing.TB) []goldenCase { return goldenFile(tb, "gloas-sign.json", 14) }

func goldenFile(tb testing.TB, name string, cases int) []goldenCase {
	tb.Helper()
	raw, err := os.ReadFile("../../eth2/testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Cases []goldenCase `json:"cases"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		tb.Fatal(err)
	}
	if len(file.Cases) != cases {
		tb.Fatalf("%d golden cases in %s, want %d", len(file.Cases), name, cases)
	}
	return file.Cases
}

func goldenBody(tb testing.TB, name string) string {
	tb.Helper()
	for _, c := range append(golden(tb), goldenGloas(tb)...) {
		if c.Name == name {
			return string(c.Body)
		}
	}
	tb.Fatalf("no golden case %q", name)
	return ""
}

func TestGolden(t *testing.T) {
	refused := 0
	for _, c := range golden(t) {
		t.Run(c.Name, func(t *testing.T) {
			var body struct{ Type, SigningRoot string }
			if err := json.Unmarshal(c.Body, &body); err != nil {
				t.Fatal(err)
			}
			kind, req, err := decode(goldenNetwork(), c.Body)
			switch c.Name {
			case "BLOCK_V2 (ALTAIR)", "BLOCK_V2 (PHASE 0)", "BLOCK (DEPRECATED)":
				refused++
				checkMalformed(t, req, err, "is a full block; only BLOCK_V2 with beacon_block.block_header is signed")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// decode has compared the root, but a golden test must not rest on that.
			root := req.SigningRoot()
			if got := "0x" + hex.EncodeToString(root[:]); got != body.SigningRoot {
				t.Errorf("signing root %s, want %s", got, body.SigningRoot)
			}
			if req.Kind() != kind || !strings.HasPrefix(body.Type, strings.TrimSuffix(kind.String(), "_V2")) {
				t.Errorf("kind %v of request and %v of body type %s", req.Kind(), kind, body.Type)
			}
			_, network := req.ValidatorsRoot()
			if want := kind != eth2.Deposit && kind != eth2.ValidatorRegistration; network != want {
				t.Errorf("domain belongs to a chain: %v, want %v", network, want)
			}
		})
	}
	if refused != 3 {
		t.Errorf("%d full bodies refused, want 3", refused)
	}
}

func TestGoldenGloas(t *testing.T) {
	kinds := map[eth2.Kind]int{}
	for _, c := range goldenGloas(t) {
		t.Run(c.Name, func(t *testing.T) {
			var body struct{ Type, SigningRoot string }
			if err := json.Unmarshal(c.Body, &body); err != nil {
				t.Fatal(err)
			}
			kind, req, err := decode(hoodi(t), c.Body)
			if err != nil {
				t.Fatal(err)
			}
			kinds[kind]++
			root := req.SigningRoot()
			if got := "0x" + hex.EncodeToString(root[:]); got != body.SigningRoot {
				t.Errorf("signing root %s, want %s", got, body.SigningRoot)
			}
			if parsed, _ := eth2.ParseKind(body.Type); req.Kind() != kind || kind != parsed {
				t.Errorf("kind %v of request and %v of body type %s", req.Kind(), kind, body.Type)
			}
			if _, network := req.ValidatorsRoot(); network == (kind == eth2.BuilderRequestAuth) {
				t.Errorf("domain belongs to a chain: %v", network)
			}
		})
	}
	for k := eth2.ExecutionPayloadBid; k <= eth2.BuilderRequestAuth; k++ {
		if kinds[k] == 0 {
			t.Errorf("no case of kind %s", k)
		}
	}
}
