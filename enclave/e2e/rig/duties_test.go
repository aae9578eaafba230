package rig

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// TestVerify takes the signature of the key that was asked, over the root that was computed here, and no other.
func TestVerify(t *testing.T) {
	var keys [2]*bls.SecretKey
	for i := range keys {
		seed := [32]byte{byte(i + 1)}
		key, err := bls.SecretKeyFromSeed(seed[:])
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = key
	}
	vote, block := Vote(10, 11), BlockHeader(352)
	root, err := hex.DecodeString(strings.TrimPrefix(vote["signingRoot"].(string), "0x"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := keys[0].Sign([32]byte(root))
	if err != nil {
		t.Fatal(err)
	}
	signature := "0x" + hex.EncodeToString(signed[:])
	for _, test := range []struct {
		name      string
		key       string
		request   map[string]any
		signature string
		want      string
	}{
		{"right", keys[0].PublicKey().String(), vote, signature, ""},
		{"another key", keys[1].PublicKey().String(), vote, signature, "does not verify"},
		{"another request", keys[0].PublicKey().String(), block, signature, "does not verify"},
		{"without root", keys[0].PublicKey().String(), Reveal(10), signature, "names no signing root"},
		{"no signature", keys[0].PublicKey().String(), vote, "0x00", "is not a signature"},
		{"no key", "0x00", vote, signature, "public key"},
	} {
		err := Verify(test.key, test.request, test.signature)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
