package keygen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

func identities(t testing.TB, n int) (ids []*age.X25519Identity, recipients []string) {
	t.Helper()
	for range n {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		ids, recipients = append(ids, id), append(recipients, id.Recipient().String())
	}
	return ids, recipients
}

func generator(t testing.TB, recipients ...string) *Generator {
	t.Helper()
	g, err := New(recipients)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// content is what is inside of a backup.
type content struct {
	Mnemonic    string `json:"mnemonic"`
	Path        string `json:"path"`
	FirstIndex  uint32 `json:"first_index"`
	Count       int    `json:"count"`
	FirstPubkey string `json:"first_pubkey"`
}

func open(t *testing.T, backup []byte, id *age.X25519Identity) (c content) {
	t.Helper()
	plain, err := age.Decrypt(armor.NewReader(bytes.NewReader(backup)), id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func publicKeys(b *Batch) (keys []string) {
	for _, k := range b.Keys {
		keys = append(keys, k.Secret.PublicKey().String())
	}
	return keys
}

// TestFromMnemonic: the same keys as those of another implementation.
func TestFromMnemonic(t *testing.T) {
	var golden struct {
		Mnemonic string
		Deposits []struct{ Pubkey string }
	}
	file, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(file, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, d := range golden.Deposits {
		want = append(want, "0x"+d.Pubkey)
	}
	b, err := generator(t).fromMnemonic(t.Context(), secret.New([]byte(golden.Mnemonic)), 8)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, publicKeys(b)); diff != "" {
		t.Errorf("public keys, -want +got:\n%s", diff)
	}
}

// TestGenerate: whoever can read the backup makes the same keys again.
func TestGenerate(t *testing.T) {
	ids, recipients := identities(t, 3)
	g := generator(t, recipients...)
	seen := map[string]bool{}
	for _, count := range []int{1, 2, 9} {
		b, err := g.Generate(t.Context(), count)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Keys) != count {
			t.Fatalf("%d keys, want %d", len(b.Keys), count)
		}
		for i, k := range b.Keys {
			if k.Index != uint32(i) || k.Path() != fmt.Sprintf("m/12381/3600/%d/0/0", i) {
				t.Errorf("key %d has the index %d and the path %s", i, k.Index, k.Path())
			}
			if public := k.Secret.PublicKey().String(); seen[public] {
				t.Errorf("key %s was made before", public)
			} else {
				seen[public] = true
			}
		}
		for _, id := range ids {
			c := open(t, b.Backup, id)
			want := content{c.Mnemonic, "m/12381/3600/i/0/0", 0, count, b.Keys[0].Secret.PublicKey().String()}
			if diff := cmp.Diff(want, c); diff != "" || len(strings.Fields(c.Mnemonic)) != 24 {
				t.Errorf("the backup has -want +got:\n%s", diff)
			}
			again, err := generator(t).fromMnemonic(t.Context(), secret.New([]byte(c.Mnemonic)), count)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(publicKeys(b), publicKeys(again)); diff != "" {
				t.Errorf("from the backup, -made +restored:\n%s", diff)
			}
		}
	}
}

func TestGenerateWithoutRecipients(t *testing.T) {
	b, err := generator(t).Generate(t.Context(), 1)
	if err != nil || b.Backup != nil || len(b.Keys) != 1 {
		t.Errorf("%v, %v, want one key and no backup", b, err)
	}
}

// TestBackupFits: the largest backup can be stored beside a key.
func TestBackupFits(t *testing.T) {
	_, recipients := identities(t, MaxRecipients)
	g := generator(t, recipients...)
	first, err := g.Generate(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	longest := secret.New(bytes.Repeat([]byte("abstract "), 24))
	backup, err := g.backup(longest, append(first.Keys, make([]Key, MaxCount-1)...))
	if err != nil || len(backup) > MaxBackup || len(backup) < MaxBackup/2 {
		t.Errorf("%d bytes, %v; the limit is %d", len(backup), err, MaxBackup)
	}
	if MaxBackup > stored.MaxBackup {
		t.Errorf("backups of %d bytes, the store takes %d", MaxBackup, stored.MaxBackup)
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, count := range []int{-1, 0, MaxCount + 1} {
		if b, err := generator(t).Generate(t.Context(), count); err == nil || b != nil || !strings.Contains(err.Error(), "want 1 to 10000") {
			t.Errorf("%d keys: %v, %v", count, b, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the caller has gone")
	cancel(cause)
	if b, err := generator(t).Generate(ctx, MaxCount); !errors.Is(err, cause) || b != nil {
		t.Errorf("after the end: %v, %v", b, err)
	}
	wiped := secret.New([]byte("words"))
	wiped.Wipe()
	if b, err := generator(t).fromMnemonic(t.Context(), wiped, 1); !errors.Is(err, secret.ErrWiped) || b != nil {
		t.Errorf("without a mnemonic: %v, %v", b, err)
	}
}

// TestGenerateWaitsForASlot: others have all of them until one ends, or the caller goes.
func TestGenerateWaitsForASlot(t *testing.T) {
	g := generator(t)
	for range cap(g.slots) {
		g.slots <- struct{}{}
	}
	cause := errors.New("the caller has gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	var callers sync.WaitGroup
	callers.Go(func() {
		if b, err := g.Generate(ctx, 5); !errors.Is(err, cause) || b != nil {
			t.Errorf("without a slot: %v, %v", b, err)
		}
	})
	cancel(cause)
	callers.Wait()
	for range 3 {
		callers.Go(func() {
			if b, err := g.Generate(t.Context(), 2*cap(g.slots)); err != nil || len(b.Keys) != 2*cap(g.slots) {
				t.Errorf("with slots: %v, %v", b, err)
			}
		})
	}
	for range cap(g.slots) {
		<-g.slots
	}
	callers.Wait()
	if len(g.slots) != 0 {
		t.Errorf("%d slots are still taken", len(g.slots))
	}
}

func TestBatchWipe(t *testing.T) {
	b, err := generator(t).Generate(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	b.Keys = append(b.Keys, Key{}) // as when it was not made
	b.Wipe()
	for _, k := range b.Keys[:3] {
		if _, err := k.Secret.Sign([32]byte{1}); !errors.Is(err, secret.ErrWiped) {
			t.Errorf("key %d still signs: %v", k.Index, err)
		}
	}
}

func TestBatchDoesNotPrint(t *testing.T) {
	b, err := generator(t).fromMnemonic(t.Context(), secret.New([]byte("abandon")), 1)
	if err != nil {
		t.Fatal(err)
	}
	err = b.Keys[0].Secret.Use(func(scalar []byte) error {
		digits, numbers := fmt.Sprintf("%x", scalar[:4]), strings.Trim(fmt.Sprintf("%d", scalar[:4]), "[]")
		for _, text := range []string{fmt.Sprintf("%v %+v %x", b, *b, b.Keys), fmt.Sprintf("%#v", b.Keys[0])} {
			if strings.Contains(text, digits) || strings.Contains(text, numbers) {
				t.Errorf("the key prints: %s", text)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	_, two := identities(t, 2)
	_, many := identities(t, MaxRecipients+1)
	for name, tc := range map[string]struct {
		recipients []string
		want       string
	}{
		"no recipient":  {[]string{two[0], "nobody"}, `recipients[1] "nobody": does not begin with age1`},
		"nothing":       {[]string{""}, `recipients[0] "": does not begin with age1`},
		"mistyped":      {[]string{two[0], two[1][:61] + "b"}, `recipients[1] "` + two[1][:12] + `": has a character`},
		"twice":         {[]string{two[0], two[1], two[0]}, `recipients[2] "` + two[0][:12] + `": is recipients[0] again`},
		"too many":      {many, "recipients: 33, at most 32"},
		"an identity":   {[]string{"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"}, `recipients[0] "AGE-SECRET-K": does not begin with age1`},
		"a public key":  {[]string{bls.PublicKey{}.String()}, "recipients[0]"},
		"with a comma":  {[]string{strings.Join(two, ",")}, "has 125 characters"},
		"space between": {[]string{two[0], " " + two[1]}, "recipients[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			if g, err := New(tc.recipients); err == nil || g != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func BenchmarkGenerate100(b *testing.B) {
	_, recipients := identities(b, 3)
	g := generator(b, recipients...)
	for b.Loop() {
		batch, err := g.Generate(b.Context(), 100)
		if err != nil {
			b.Fatal(err)
		}
		batch.Wipe()
	}
}
