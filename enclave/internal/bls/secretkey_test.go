package bls_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newKey(t *testing.T, digits string) *bls.SecretKey {
	t.Helper()
	k, err := bls.NewSecretKey(unhex(t, digits))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSignVectors: keys and signatures as published in ethereum/bls12-381-tests, where the signatures are
// sign_case_11b8c7cad5238946 and sign_case_142f678a8d05fcd1.
func TestSignVectors(t *testing.T) {
	for _, tc := range []struct {
		name, secret, public string
		message              byte // repeated 32 times
		signature            string
	}{
		{
			"47b8 zero", "47b8192d77bf871b62e87859d653922725724a5c031afeabc60bcef5ff665138",
			"0xb301803f8b5ac4a1133581fc676dfedc60d891dd5fa99028805e5ea5b08d3491af75d0707adab3b70c6a6a580217bf81", 0x00,
			"0xb23c46be3a001c63ca711f87a005c200cc550b9429d5f4eb38d74322144f1b63926da3388979e5321012fb1a0526bcd1" +
				"00b5ef5fe72628ce4cd5e904aeaa3279527843fae5ca9ca675f4f51ed8f83bbf7155da9ecc9663100a885d5dc6df96d9",
		},
		{
			"47b8 fifty-six", "47b8192d77bf871b62e87859d653922725724a5c031afeabc60bcef5ff665138",
			"0xb301803f8b5ac4a1133581fc676dfedc60d891dd5fa99028805e5ea5b08d3491af75d0707adab3b70c6a6a580217bf81", 0x56,
			"0xaf1390c3c47acdb37131a51216da683c509fce0e954328a59f93aebda7e4ff974ba208d9a4a2a2389f892a9d418d6184" +
				"18dd7f7a6bc7aa0da999a9d3a5b815bc085e14fd001f6a1948768a3f4afefc8b8240dda329f984cb345c6363272ba4fe",
		},
		{
			"263d", "263dbd792f5b1be47ed85f8938c0f29586af0d3ac7b977f21c278fe1462040e3",
			"0xa491d1b0ecd9bb917989f0e74f0dea0422eac4a873e5e2644f368dffb9a6e20fd6e10c1b77654d067c0618f6e5a7f79a", 0xab, "",
		},
		{
			"3283", "328388aff0d4a5b7dc9205abd374e7e98f3cd9f3418edb4eafda5fb16473d216",
			"0xb53d21a4cfd562c469cc81514d4ce5a6b577d8403d32a394dc265dd190b47fa9f829fdd7963afdf972e5e77854051f6f", 0xab, "",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := newKey(t, tc.secret)
			if key.PublicKey().String() != tc.public {
				t.Errorf("public key %s, want %s", key.PublicKey(), tc.public)
			}
			root := [32]byte(bytes.Repeat([]byte{tc.message}, 32))
			sig, err := key.Sign(root)
			if err != nil {
				t.Fatal(err)
			}
			if tc.signature != "" && sig.String() != tc.signature {
				t.Errorf("signature %s, want %s", sig, tc.signature)
			}
			checkVerify(t, key.PublicKey(), root, sig)
		})
	}
}

// checkVerify checks that the signature holds, and that nothing like it does.
func checkVerify(t *testing.T, key bls.PublicKey, root [32]byte, sig bls.Signature) {
	t.Helper()
	if !bls.Verify(key, root, sig) {
		t.Error("the signature does not verify")
	}
	otherRoot, otherSig := root, sig
	otherRoot[31] ^= 1
	otherSig[95] ^= 1
	for name, wrong := range map[string]bool{
		"another root":       bls.Verify(key, otherRoot, sig),
		"another signature":  bls.Verify(key, root, otherSig),
		"a zero signature":   bls.Verify(key, root, bls.Signature{}),
		"a zero key":         bls.Verify(bls.PublicKey{}, root, sig),
		"the key's infinity": bls.Verify(bls.PublicKey{0xc0}, root, bls.Signature{0xc0}),
	} {
		if wrong {
			t.Errorf("%s verifies", name)
		}
	}
}

func TestNewSecretKeyRefuses(t *testing.T) {
	order := "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"
	for name, digits := range map[string]string{
		"nothing":         "",
		"31 bytes":        strings.Repeat("01", 31),
		"33 bytes":        strings.Repeat("01", 33),
		"zero":            strings.Repeat("00", 32),
		"order":           order,
		"above the order": strings.Repeat("ff", 32),
	} {
		b := unhex(t, digits)
		if key, err := bls.NewSecretKey(b); !errors.Is(err, bls.ErrSecretKey) || key != nil {
			t.Errorf("%s: key %v, error %v", name, key, err)
		}
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("%s: the refused bytes were not wiped: %x", name, b)
		}
	}
	if _, err := bls.NewSecretKey(nil); !errors.Is(err, bls.ErrSecretKey) {
		t.Errorf("nil: %v", err)
	}
	newKey(t, order[:63]+"0") // one below the order is the highest key
}

// TestSecretKeyFromSeed: test case 0 of EIP-2333, its master key.
func TestSecretKeyFromSeed(t *testing.T) {
	seed := unhex(t, "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04")
	key, err := bls.SecretKeyFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	err = key.Use(func(b []byte) error {
		const want = "6083874454709270928345386274498605044986640685124978867557563392430687146096"
		if got := new(big.Int).SetBytes(b).String(); got != want {
			t.Errorf("master key %s, want %s", got, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := bls.SecretKeyFromSeed(seed[:31]); !errors.Is(err, bls.ErrSeed) {
		t.Errorf("a seed of 31 bytes: %v", err)
	}
}

func TestSecretKeyDoesNotPrintAndIsWiped(t *testing.T) {
	const digits = "47b8192d77bf871b62e87859d653922725724a5c031afeabc60bcef5ff665138"
	b := unhex(t, digits)
	key, err := bls.NewSecretKey(b)
	if err != nil {
		t.Fatal(err)
	}
	holder := struct{ k *bls.SecretKey }{key}
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %x %s", key, key, key, key, key),
		fmt.Sprintf("%v %+v %#v %x", *key, *key, *key, *key),
		fmt.Sprintf("%v %+v %#v", holder, holder, holder),
	} {
		if strings.Contains(strings.ToLower(text), digits[:8]) || strings.Contains(text, "71 184 25 45") {
			t.Errorf("the key prints: %s", text)
		}
	}
	if key.String() != secret.Mark {
		t.Errorf("String() = %q", key)
	}
	key.Wipe()
	if !bytes.Equal(b, make([]byte, 32)) {
		t.Errorf("after Wipe the memory still holds %x", b)
	}
	if sig, err := key.Sign([32]byte{1}); !errors.Is(err, secret.ErrWiped) || sig != (bls.Signature{}) {
		t.Errorf("a wiped key signs: %v, %v", sig, err)
	}
}

func TestParsePublicKey(t *testing.T) {
	digits := strings.Repeat("aB", 48)
	for _, text := range []string{digits, "0x" + digits} {
		k, err := bls.ParsePublicKey(text)
		if err != nil {
			t.Fatal(err)
		}
		if k.String() != "0x"+strings.ToLower(digits) || k.Short() != "0xabababab" {
			t.Errorf("%s reads as %s, short %s", text, k, k.Short())
		}
	}
	for _, text := range []string{"", "0x", digits[1:], digits + "00", "0X" + digits, "0x0x" + digits[4:], "zz" + digits[2:]} {
		if k, err := bls.ParsePublicKey(text); !errors.Is(err, bls.ErrPublicKeyFormat) || k != (bls.PublicKey{}) {
			t.Errorf("%q reads as %s, %v", text, k, err)
		}
	}
}

// FuzzParsePublicKey: what is accepted prints as the same digits, what is refused gives no key.
func FuzzParsePublicKey(f *testing.F) {
	f.Add("")
	f.Add("0x" + strings.Repeat("0f", 48))
	f.Add(strings.Repeat("F0", 48))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := bls.ParsePublicKey(text)
		if err != nil {
			if k != (bls.PublicKey{}) {
				t.Fatalf("%q: an error and a key", text)
			}
			return
		}
		if want := "0x" + strings.ToLower(strings.TrimPrefix(text, "0x")); k.String() != want {
			t.Fatalf("%q reads as %s", text, k)
		}
	})
}
