package age_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	tool "filippo.io/age"
	"filippo.io/age/armor"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/age"
)

func identity(t testing.TB) *tool.X25519Identity {
	t.Helper()
	id, err := tool.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func recipient(t testing.TB, id *tool.X25519Identity) age.Recipient {
	t.Helper()
	r, err := age.ParseRecipient(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// open decrypts with the tool's own library.
func open(file []byte, id tool.Identity) ([]byte, error) {
	plain, err := tool.Decrypt(armor.NewReader(bytes.NewReader(file)), id)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(plain)
}

// TestEncrypt: every recipient reads the file with the tool's own library, and nobody else.
func TestEncrypt(t *testing.T) {
	for _, size := range []int{0, 1, 215, 64 << 10} {
		for n := 1; n <= 8; n++ {
			t.Run(fmt.Sprintf("%d bytes to %d", size, n), func(t *testing.T) {
				var ids []*tool.X25519Identity
				var to []age.Recipient
				for range n {
					ids = append(ids, identity(t))
					to = append(to, recipient(t, ids[len(ids)-1]))
				}
				plain := bytes.Repeat([]byte{0xc5}, size)
				file, err := age.Encrypt(plain, to)
				if err != nil {
					t.Fatal(err)
				}
				for i, id := range ids {
					if got, err := open(file, id); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{0xc5}, size)) {
						t.Errorf("recipient %d reads %d bytes, %v", i, len(got), err)
					}
				}
				var none *tool.NoIdentityMatchError
				if _, err := open(file, identity(t)); !errors.As(err, &none) {
					t.Errorf("a stranger reads it: %v", err)
				}
			})
		}
	}
}

// TestEncryptArmor: whatever the length, the tool's strict reader of the armor accepts ours. The lengths go once around its lines.
func TestEncryptArmor(t *testing.T) {
	id := identity(t)
	for size := range 50 {
		file, err := age.Encrypt(make([]byte, size), []age.Recipient{recipient(t, id)})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := open(file, id); err != nil || len(got) != size {
			t.Errorf("%d bytes: read %d, %v\n%s", size, len(got), err, file)
		}
	}
}

// spy is an identity that tells what it finds.
type spy struct {
	*tool.X25519Identity
	fileKey []byte
	stanzas []*tool.Stanza
}

func (s *spy) Unwrap(stanzas []*tool.Stanza) (fileKey []byte, err error) {
	s.stanzas = stanzas
	s.fileKey, err = s.X25519Identity.Unwrap(stanzas)
	return bytes.Clone(s.fileKey), err
}

// TestEncryptIsFresh: nothing that must be random comes twice, the ephemeral shares not even for the same recipient in one file.
func TestEncryptIsFresh(t *testing.T) {
	id := identity(t)
	r := recipient(t, id)
	seen := map[string]bool{}
	for range 3 {
		file, err := age.Encrypt([]byte("words"), []age.Recipient{r, r})
		if err != nil {
			t.Fatal(err)
		}
		s := &spy{X25519Identity: id}
		if _, err := open(file, s); err != nil {
			t.Fatal(err)
		}
		binary, err := io.ReadAll(armor.NewReader(bytes.NewReader(file)))
		if err != nil {
			t.Fatal(err)
		}
		_, end, _ := bytes.Cut(binary, []byte("\n--- "))
		_, payload, _ := bytes.Cut(end, []byte("\n"))
		for what, random := range map[string]string{
			"file key": string(s.fileKey), "nonce": string(payload[:16]), "first share": s.stanzas[0].Args[0], "second share": s.stanzas[1].Args[0],
		} {
			if seen[random] || len(random) < 16 || strings.Trim(random, "\x00") == "" {
				t.Errorf("%s: %x is no random value, or was there before", what, random)
			}
			seen[random] = true
		}
	}
}

func TestEncryptRefuses(t *testing.T) {
	r := recipient(t, identity(t))
	if file, err := age.Encrypt([]byte("words"), nil); err == nil || file != nil {
		t.Errorf("no recipients: %s, %v", file, err)
	}
	if file, err := age.Encrypt(make([]byte, age.MaxPlaintext+1), []age.Recipient{r}); err == nil || file != nil {
		t.Errorf("too much: %d bytes, %v", len(file), err)
	}
}

func TestEncryptLeavesThePlaintext(t *testing.T) {
	plain := []byte("words")
	if _, err := age.Encrypt(plain, []age.Recipient{recipient(t, identity(t))}); err != nil || string(plain) != "words" {
		t.Errorf("%q, %v", plain, err)
	}
}
