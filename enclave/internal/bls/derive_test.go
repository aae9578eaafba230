package bls_test

import (
	"errors"
	"math/big"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// decimal is a key as EIP-2333 writes it.
func decimal(t *testing.T, key *bls.SecretKey) string {
	t.Helper()
	var s string
	err := key.Use(func(b []byte) error {
		s = new(big.Int).SetBytes(b).String()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func master(t *testing.T, seed string) *bls.SecretKey {
	t.Helper()
	key, err := bls.SecretKeyFromSeed(unhex(t, seed))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func derive(t *testing.T, key *bls.SecretKey, path ...uint32) *bls.SecretKey {
	t.Helper()
	child, err := key.Derive(path...)
	if err != nil {
		t.Fatal(err)
	}
	return child
}

// TestDerive: the test cases of EIP-2333.
func TestDerive(t *testing.T) {
	for _, tc := range []struct {
		name, seed, master string
		index              uint32
		child              string
	}{
		{
			"case 0",
			"c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
			"6083874454709270928345386274498605044986640685124978867557563392430687146096",
			0, "20397789859736650942317412262472558107875392172444076792671091975210932703118",
		},
		{
			"case 1", "3141592653589793238462643383279502884197169399375105820974944592",
			"29757020647961307431480504535336562678282505419141012933316116377660817309383",
			3141592653, "25457201688850691947727629385191704516744796114925897962676248250929345014287",
		},
		{
			"case 2", "0099FF991111002299DD7744EE3355BBDD8844115566CC55663355668888CC00",
			"27580842291869792442942448775674722299803720648445448686099262467207037398656",
			4294967295, "29358610794459428860402234341874281240803786294062035874021252734817515685787",
		},
		{
			"case 3", "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
			"19022158461524446591288038168518313374041767046816487870552872741050760015818",
			42, "31372231650479070279774297061823572166496564838472787488249775572789064611981",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := master(t, tc.seed)
			if got := decimal(t, key); got != tc.master {
				t.Errorf("master key %s, want %s", got, tc.master)
			}
			if got := decimal(t, derive(t, key, tc.index)); got != tc.child {
				t.Errorf("child %d: %s, want %s", tc.index, got, tc.child)
			}
		})
	}
}

func TestDeriveDescends(t *testing.T) {
	key := master(t, "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3")
	steps := derive(t, derive(t, derive(t, key, 12381), 3600), 7)
	if got := derive(t, key, 12381, 3600, 7); got.PublicKey() != steps.PublicKey() || decimal(t, got) != decimal(t, steps) {
		t.Errorf("three steps at once lead to %s, one by one to %s", got.PublicKey(), steps.PublicKey())
	}
	same := derive(t, key)
	if decimal(t, same) != decimal(t, key) {
		t.Error("no steps lead to another key")
	}
	same.Wipe()
	if decimal(t, key) == "0" {
		t.Error("a derived key shares its parent's memory")
	}
	key.Wipe()
	if child, err := key.Derive(1); !errors.Is(err, secret.ErrWiped) || child != nil {
		t.Errorf("a wiped key has a child: %v, %v", child, err)
	}
}
