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
	return &eth2.Network{Name: "golden", GenesisForkVersion: eth2.Version{0, 0, 0, 1}}
}

func golden(tb testing.TB) []goldenCase {
	tb.Helper()
	raw, err := os.ReadFile("../../eth2/testdata/golden-sign.json")
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Cases []goldenCase `json:"cases"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		tb.Fatal(err)
	}
	if len(file.Cases) != 25 {
		tb.Fatalf("%d golden cases, want 25", len(file.Cases))
	}
	return file.Cases
}

func goldenBody(tb testing.TB, name string) string {
	tb.Helper()
	for _, c := range golden(tb) {
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
