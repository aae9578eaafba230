package deposit_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/deposit"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/mnemonic"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// golden is what another implementation makes of a mnemonic: ../testdata/NOTICE.md says which.
type golden struct {
	Mnemonic string            `json:"mnemonic"`
	Deposits []json.RawMessage `json:"deposits"` // of the keys 0, 1, 2 …
}

func readGolden(t *testing.T) (g golden) {
	t.Helper()
	file, err := os.ReadFile("../testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(file, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Deposits) != 8 {
		t.Fatalf("%d golden deposits", len(g.Deposits))
	}
	return g
}

// key derives the signing key of a validator.
func key(t *testing.T, words string, index uint32) (signing *bls.SecretKey) {
	t.Helper()
	err := mnemonic.Seed([]byte(words), "").Use(func(seed []byte) error {
		master, err := bls.SecretKeyFromSeed(seed)
		if err != nil {
			return err
		}
		signing, err = master.Derive(12381, 3600, index, 0, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return signing
}

func network(t *testing.T, name string) *eth2.Network {
	t.Helper()
	n, err := eth2.NetworkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func credentials(t *testing.T, digits string) [32]byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 32 {
		t.Fatal(digits, err)
	}
	return [32]byte(b)
}

// TestSign: the same entries, byte for byte, as those of ethstaker-deposit-cli.
func TestSign(t *testing.T) {
	g := readGolden(t)
	for i, entry := range g.Deposits {
		var want deposit.Data
		if err := json.Unmarshal(entry, &want); err != nil {
			t.Fatal(err)
		}
		terms, err := deposit.NewTerms(network(t, want.NetworkName), credentials(t, want.WithdrawalCredentials), want.Amount)
		if err != nil {
			t.Errorf("deposit %d: %v", i, err)
			continue
		}
		got, err := terms.Sign(key(t, g.Mnemonic, uint32(i)))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("deposit %d: %v, -want +got:\n%s", i, err, diff)
		}
		var compact bytes.Buffer
		text, err := json.Marshal(got)
		if err == nil {
			err = json.Compact(&compact, entry)
		}
		if err != nil || compact.String() != string(text) {
			t.Errorf("deposit %d is written as %s, %v, want %s", i, text, err, &compact)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	g := readGolden(t)
	k := key(t, g.Mnemonic, 0)
	if data, err := (deposit.Terms{}).Sign(k); err == nil || data != (deposit.Data{}) {
		t.Errorf("the zero Terms sign: %v, %v", data, err)
	}
	terms, err := deposit.NewTerms(network(t, "hoodi"), credentials(t, "01"+strings.Repeat("00", 11)+strings.Repeat("ab", 20)), 0)
	if err != nil {
		t.Fatal(err)
	}
	k.Wipe()
	if data, err := terms.Sign(k); !errors.Is(err, secret.ErrWiped) || data != (deposit.Data{}) {
		t.Errorf("a wiped key signs: %v, %v", data, err)
	}
}

func TestNewTerms(t *testing.T) {
	const zeros, address = "0000000000000000000000", "8b0f2cfa1d6a4b0f1ab4c7d6bd4e5a1b00c0ffee"
	hash, withdraw, compound := "00"+strings.Repeat("7f", 31), "01"+zeros+address, "02"+zeros+address
	const eth = 1_000_000_000
	for name, tc := range map[string]struct {
		credentials string
		amount      uint64
		want        uint64 // amount
		fault       string
	}{
		"by default":                {withdraw, 0, 32 * eth, ""},
		"by default, compounding":   {compound, 0, 32 * eth, ""},
		"by default, BLS":           {hash, 0, 32 * eth, ""},
		"least":                     {withdraw, eth, eth, ""},
		"most":                      {withdraw, 32 * eth, 32 * eth, ""},
		"most, BLS":                 {hash, 32 * eth, 32 * eth, ""},
		"most, compounding":         {compound, 2048 * eth, 2048 * eth, ""},
		"odd":                       {compound, 33*eth + 7, 33*eth + 7, ""},
		"too little":                {withdraw, eth - 1, 0, "amount: 999999999 Gwei, want 1000000000 to 32000000000 with withdrawal credentials of type 0x01"},
		"too much":                  {withdraw, 32*eth + 1, 0, "amount: 32000000001 Gwei"},
		"too much, BLS":             {hash, 32*eth + 1, 0, "with withdrawal credentials of type 0x00"},
		"too much, compounding":     {compound, 2048*eth + 1, 0, "want 1000000000 to 2048000000000 with withdrawal credentials of type 0x02"},
		"too little, compounding":   {compound, 1, 0, "amount: 1 Gwei"},
		"beyond all":                {compound, 1<<64 - 1, 0, "amount: 18446744073709551615 Gwei"},
		"another type":              {"03" + zeros + address, 0, 0, "withdrawal credentials: type 0x03, want 0x00, 0x01 or 0x02"},
		"a builder's type":          {"b0" + zeros + address, 0, 0, "withdrawal credentials: type 0xb0"},
		"first byte before address": {"0101" + zeros[2:] + address, 0, 0, "withdrawal credentials: type 0x01 has 11 zero bytes before the address"},
		"last byte before address":  {"02" + zeros[2:] + "01" + address, 0, 0, "withdrawal credentials: type 0x02 has 11 zero bytes before the address"},
		"no address":                {"01" + zeros + strings.Repeat("00", 20), 0, 0, "nobody could withdraw"},
		"all zero":                  {strings.Repeat("00", 32), 0, 0, "nobody could withdraw"},
	} {
		t.Run(name, func(t *testing.T) {
			terms, err := deposit.NewTerms(network(t, "mainnet"), credentials(t, tc.credentials), tc.amount)
			if tc.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fault) || terms != (deposit.Terms{}) {
					t.Errorf("%v, want %q", err, tc.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := terms.Sign(key(t, "abandon", 0))
			if err != nil || data.Amount != tc.want || data.WithdrawalCredentials != tc.credentials {
				t.Errorf("%v, %v", data, err)
			}
		})
	}
}
