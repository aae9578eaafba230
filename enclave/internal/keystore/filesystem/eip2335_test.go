package filesystem

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// open is OpenKeystore where memory is no matter.
func open(t *testing.T, text, password []byte) (*bls.SecretKey, error) {
	t.Helper()
	return OpenKeystore(t.Context(), NewKDFMemory(100, 1<<30), text, password)
}

// The test vectors of EIP-2335, in testdata as published there.
const (
	eipPassword = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑"
	eipSecret   = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
)

func eipVector(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func checkSecret(t *testing.T, key *bls.SecretKey, digits string) {
	t.Helper()
	err := key.Use(func(b []byte) error {
		if got := fmt.Sprintf("%x", b); got != digits {
			t.Errorf("secret %s, want %s", got, digits)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestVectorsOfTheEIP(t *testing.T) {
	for _, name := range []string{"eip2335-scrypt", "eip2335-pbkdf2"} {
		t.Run(name, func(t *testing.T) {
			text := eipVector(t, name)
			key, err := open(t, text, []byte(eipPassword))
			if err != nil {
				t.Fatal(err)
			}
			checkSecret(t, key, eipSecret)
		})
	}
	if key, err := open(t, eipVector(t, "eip2335-pbkdf2"), []byte("testpassword")); !errors.Is(err, errPassword) || key != nil {
		t.Errorf("another password: %v", err)
	}
}

func TestNormalise(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"vector of the EIP":  {eipPassword, "testpassword\U0001f511"},
		"controls are gone":  {"\x00a\tb\nc\x1f\x7f\u0080d\u009fe\r", "abcde"},
		"composed":           {"Ange\u0301lica", "Ange\u0301lica"},
		"decomposed":         {"Ang\u00e9lica", "Ange\u0301lica"},
		"compatible":         {"\u212bngstr\u00f6m \ufb01", "A\u030angstro\u0308m fi"},
		"spaces stay":        {" a b\u00a0c ", " a b c "},
		"empty":              {"", ""},
		"C1 by its own byte": {"a\u0085b", "ab"},
	} {
		if got := string(normalise([]byte(tc.in))); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// TestAgainstAnotherImplementation: what it writes we read, and what we write it reads.
func TestAgainstAnotherImplementation(t *testing.T) {
	const password = "Ünïcödé \U0001f511\x7f"
	for _, kdf := range []string{"pbkdf2", "scrypt"} {
		other := keystorev4.New(keystorev4.WithCipher(kdf), keystorev4.WithCost(t, 4))
		key, err := bls.SecretKeyFromSeed([]byte(strings.Repeat(kdf, 6)))
		if err != nil {
			t.Fatal(err)
		}
		var crypto map[string]any
		var digits string
		err = key.Use(func(b []byte) (err error) {
			digits = fmt.Sprintf("%x", b)
			crypto, err = other.Encrypt(b, password)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := json.Marshal(map[string]any{"crypto": crypto, "version": 4, "pubkey": key.PublicKey().String()})
		if err != nil {
			t.Fatal(err)
		}
		opened, err := open(t, theirs, []byte(password))
		if err != nil {
			t.Fatalf("%s: we cannot read theirs: %v", kdf, err)
		}
		checkSecret(t, opened, digits)

		ours, err := encrypt(key, []byte(password), LightRounds)
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]map[string]any
		_ = json.Unmarshal(ours, &doc) // the fields beside crypto are no objects
		got, err := other.Decrypt(doc["crypto"], password)
		if err != nil || fmt.Sprintf("%x", got) != digits {
			t.Errorf("they read ours as %x, %v; want %s", got, err, digits)
		}
	}
}

// light is a keystore and its password, changed by a function on its JSON.
func light(t *testing.T, change func(doc, kdf map[string]any)) []byte {
	t.Helper()
	key, err := bls.SecretKeyFromSeed(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	text, err := encrypt(key, []byte("password"), 1)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	change(doc, doc["crypto"].(map[string]any)["kdf"].(map[string]any))
	if text, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOpenKeystoreRefuses(t *testing.T) {
	kdfParams := func(function string, params map[string]any) func(doc, kdf map[string]any) {
		return func(_, kdf map[string]any) {
			kdf["function"] = function
			p := kdf["params"].(map[string]any)
			for name, v := range params {
				p[name] = v
			}
		}
	}
	module := func(name string) func(doc map[string]any) map[string]any {
		return func(doc map[string]any) map[string]any { return doc["crypto"].(map[string]any)[name].(map[string]any) }
	}
	cipherOf, checksumOf := module("cipher"), module("checksum")
	for _, tc := range []struct {
		name   string
		change func(doc, kdf map[string]any)
		words  string
	}{
		{"version 3", func(doc, _ map[string]any) { doc["version"] = 3 }, "version is 3, want 4"},
		{"no crypto", func(doc, _ map[string]any) { delete(doc, "crypto") }, "crypto.cipher.function is not aes-128-ctr"},
		{"another cipher", func(doc, _ map[string]any) { cipherOf(doc)["function"] = "xor" }, "crypto.cipher.function is not aes-128-ctr"},
		{"short iv", func(doc, _ map[string]any) { cipherOf(doc)["params"] = map[string]any{"iv": "00"} }, "crypto.cipher.params.iv has 1 bytes, want 16"},
		{"short message", func(doc, _ map[string]any) { cipherOf(doc)["message"] = "00" }, "crypto.cipher.message has 1 bytes, want 32"},
		{"not hexadecimal", func(doc, _ map[string]any) { cipherOf(doc)["message"] = "zz" }, "hexadecimal digits"},
		{"odd digits", func(doc, _ map[string]any) { cipherOf(doc)["message"] = "000" }, "hexadecimal digits"},
		{"message is a number", func(doc, _ map[string]any) { cipherOf(doc)["message"] = 5 }, "has the wrong type"},
		{"another checksum", func(doc, _ map[string]any) { checksumOf(doc)["function"] = "md5" }, "crypto.checksum.function is not sha256"},
		{"short checksum", func(doc, _ map[string]any) { checksumOf(doc)["message"] = "" }, "crypto.checksum.message has 0 bytes, want 32"},
		{"changed checksum", func(doc, _ map[string]any) { checksumOf(doc)["message"] = strings.Repeat("0", 64) }, "wrong password"},
		{"another kdf", kdfParams("argon2", nil), "crypto.kdf.function is neither scrypt nor pbkdf2"},
		{"no rounds", kdfParams("pbkdf2", map[string]any{"c": 0}), "crypto.kdf.params.c is 0, want at least 1"},
		{"endless pbkdf2", kdfParams("pbkdf2", map[string]any{"c": 1 << 40}), "pbkdf2 with c=1099511627776 takes too long"},
		{"another prf", kdfParams("pbkdf2", map[string]any{"prf": "hmac-md5"}), "crypto.kdf.params.prf is not hmac-sha256"},
		{"short dklen", kdfParams("pbkdf2", map[string]any{"dklen": 16}), "crypto.kdf.params.dklen is 16, want 32"},
		{"long dklen", kdfParams("pbkdf2", map[string]any{"dklen": 1 << 40}), "dklen is 1099511627776, want 32"},
		{"long salt", kdfParams("pbkdf2", map[string]any{"salt": strings.Repeat("00", maxSalt+1)}), "salt has 1025 bytes, more than 1024"},
		{"number too large", kdfParams("pbkdf2", map[string]any{"c": 1e30}), "field crypto.kdf.params.c has the wrong type"},
		{"scrypt memory", kdfParams("scrypt", map[string]any{"n": 1 << 21, "r": 8, "p": 1}), "key derivation needs 2048 MiB of memory, and all together may take 1024 MiB"},
		{"scrypt memory by r", kdfParams("scrypt", map[string]any{"n": 2, "r": 1 << 24, "p": 1}), "key derivation needs 10240 MiB of memory"},
		{"scrypt memory by p", kdfParams("scrypt", map[string]any{"n": 2, "r": 1, "p": 1 << 24}), "key derivation needs 2048 MiB of memory"},
		{"scrypt time by n", kdfParams("scrypt", map[string]any{"n": 1 << 23, "r": 8, "p": 1}), "n=8388608 r=8 p=1 takes too long, the most for their product is 33554432"},
		{"scrypt time by r", kdfParams("scrypt", map[string]any{"n": 2, "r": 1 << 40, "p": 1}), "r=1099511627776 p=1 takes too long"},
		{"scrypt time beyond numbers", kdfParams("scrypt", map[string]any{"n": 1 << 62, "r": 1 << 62, "p": 1 << 62}), "takes too long"},
		{"scrypt time", kdfParams("scrypt", map[string]any{"n": 1 << 18, "r": 8, "p": 1 << 20}), "p=1048576 takes too long"},
		{"scrypt n", kdfParams("scrypt", map[string]any{"n": 1000, "r": 8, "p": 1}), "scrypt with n=1000 r=8 p=1: n must be a power of two"},
		{"scrypt negative", kdfParams("scrypt", map[string]any{"n": -2, "r": -8, "p": -1}), "n must be a power of two"},
		{"scrypt without parameters", kdfParams("scrypt", nil), "scrypt with n=0 r=0 p=0"},
		{"pubkey of another", func(doc, _ map[string]any) { doc["pubkey"] = strings.Repeat("ab", 48) }, "field pubkey names 0xabab"},
		{"pubkey is none", func(doc, _ map[string]any) { doc["pubkey"] = "0x" }, "field pubkey: public key is not 96 hexadecimal digits"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, err := open(t, light(t, tc.change), []byte("password"))
			if err == nil || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("error %v, want %q", err, tc.words)
			}
			if key != nil {
				t.Error("an error and a key")
			}
		})
	}
	if _, err := open(t, []byte(`{"crypto": hunter2}`), nil); err == nil || err.Error() != "not valid JSON at byte 12" {
		t.Errorf("not JSON: %v", err)
	}
	if _, err := open(t, light(t, func(doc, _ map[string]any) { delete(doc, "pubkey") }), []byte("password")); err != nil {
		t.Errorf("pubkey is optional: %v", err)
	}
}

// FuzzKeystore: what is read is bounded, and where it is cheap it also opens or says why not.
func FuzzKeystore(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"version":4,"crypto":{"kdf":{"function":"scrypt","params":{"dklen":32,"n":2,"r":1,"p":1,"salt":""}},` +
		`"checksum":{"function":"sha256","message":"` + strings.Repeat("0", 64) + `"},` +
		`"cipher":{"function":"aes-128-ctr","params":{"iv":"` + strings.Repeat("0", 32) + `"},"message":"` + strings.Repeat("1", 64) + `"}}}`))
	if key, err := bls.SecretKeyFromSeed(make([]byte, 32)); err == nil {
		if text, err := encrypt(key, []byte("password"), 1); err == nil {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := parseKeystore(text)
		if err != nil {
			if doc != nil {
				t.Fatal("an error and a keystore")
			}
			return
		}
		p := doc.Crypto.KDF.Params
		work, most := p.C, maxPBKDF2Rounds
		if doc.Crypto.KDF.Function == "scrypt" {
			work, most = p.N*p.R*p.P, maxScryptWork
		}
		if memory := p.memory(doc.Crypto.KDF.Function); work > most || memory < 0 || memory > 10<<30 {
			t.Fatalf("unbounded work: %+v, %d bytes", p, memory)
		}
		if work > 1<<12 {
			return
		}
		key, err := open(t, text, []byte("password"))
		if (key == nil) == (err == nil) {
			t.Fatalf("key %v, error %v", key, err)
		}
	})
}
