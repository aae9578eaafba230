package envelope_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/envelope"
)

func read(t testing.TB, path string) []byte {
	t.Helper()
	out, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// glob returns the files of testdata of that name, of which there must be count.
func glob(t testing.TB, pattern string, count int) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) != count {
		t.Fatalf("testdata has %d files %s, want %d (%v)", len(files), pattern, count, err)
	}
	return files
}

func TestOpensWhatOpenSSLSeals(t *testing.T) {
	key := testKey(t)
	for _, plain := range glob(t, "*.plain", 5) {
		want := read(t, plain)
		for _, form := range []string{".der", ".ber"} {
			file := strings.TrimSuffix(plain, ".plain") + form
			got, err := envelope.Open(key, read(t, file))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: got %x, want %x (%v)", file, got, want, err)
			}
		}
	}
}

func TestRefusesWhatOpenSSLSealsInAnotherWay(t *testing.T) {
	reason := map[string]string{
		"aes128": "contentEncryptionAlgorithm", "camellia256": "contentEncryptionAlgorithm", "gcm": "contentType",
		"pkcs1": "keyEncryptionAlgorithm", "sha1": "RSAES-OAEP-params", "mgf1-sha1": "RSAES-OAEP-params",
		"label": "RSAES-OAEP-params", "issuer": "version", "another": "subjectKeyIdentifier", "two": "recipientInfos",
		"signed": "contentType",
	}
	key := testKey(t)
	for _, file := range glob(t, "refused-*.der", len(reason)) {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "refused-"), ".der")
		got, err := envelope.Open(key, read(t, file))
		if got != nil || !errors.Is(err, envelope.ErrEnvelope) || !strings.Contains(err.Error(), reason[name]) || reason[name] == "" {
			t.Errorf("%s: got %x, %v, want an error that names %q", file, got, err, reason[name])
		}
	}
}

func TestOpensEveryForm(t *testing.T) {
	key := testKey(t)
	plaintext := []byte("thirty-two bytes, as a key has!!")
	for name, change := range map[string]func(*layout){
		"as KMS":                 func(*layout) {},
		"all lengths definite":   func(l *layout) { l.outer = short },
		"all lengths indefinite": func(l *layout) { l.inner = long },
		"content in one piece":   func(l *layout) { l.content = short(0x80, l.content[4:len(l.content)-2]) },
		"chunks of any size": func(l *layout) {
			c := l.content[4 : len(l.content)-2]
			l.content = short(0xa0, short(4, c[:1]), short(4), short(4, c[1:30]), short(4, c[30:]))
		},
		"no parameters of the hashes": func(l *layout) {
			l.hash = short(0x30, oid(t, sha256OID...))
			l.mask = short(0x30, oid(t, 1, 2, 840, 113549, 1, 1, 8), l.hash)
		},
	} {
		l := kmsLayout(t, &key.PublicKey, plaintext)
		change(l)
		if got, err := envelope.Open(key, l.bytes()); err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestNamesWhatIsWrong(t *testing.T) {
	key := testKey(t)
	for _, test := range []struct {
		name   string
		change func(*layout)
		want   string
	}{
		{"bytes after the end", func(l *layout) { l.trailing = []byte{0} }, "1 bytes after the end"},
		{"another envelope after the end", func(l *layout) { l.trailing = l.bytes() }, "after the end"},
		{"too long", func(l *layout) { l.trailing = make([]byte, 16<<10) }, "at most 16384 are allowed"},
		{"content type", func(l *layout) { l.contentType = l.dataType }, "contentType"},
		{"version 0", func(l *layout) { l.version = []byte{2, 1, 0} }, "version"},
		{"version in two bytes", func(l *layout) { l.version = []byte{2, 2, 0, 2} }, "version"},
		{"certificates", func(l *layout) { l.before = short(0xa0) }, "EnvelopedData"},
		{"attributes", func(l *layout) { l.after = short(0xa1) }, "EnvelopedData"},
		{"recipient's version", func(l *layout) { l.recipientVersion = []byte{2, 1, 0} }, "version of KeyTransRecipientInfo"},
		{"two recipients", func(l *layout) { l.more = l.recipient() }, "recipientInfos"},
		{"another's name", func(l *layout) { l.name = short(0x80, make([]byte, 32)) }, "subjectKeyIdentifier"},
		{"a part of the name", func(l *layout) { l.name = short(0x80, l.name[2:22]) }, "subjectKeyIdentifier"},
		{"a name of another kind", func(l *layout) { l.name[0] = 4 }, "subjectKeyIdentifier"},
		{"rsaEncryption", func(l *layout) { l.keyAlgorithm = oid(t, 1, 2, 840, 113549, 1, 1, 1) }, "keyEncryptionAlgorithm"},
		{"hash SHA-1", func(l *layout) { l.hash = short(0x30, oid(t, 1, 3, 14, 3, 2, 26), null) }, "hashAlgorithm"},
		{"hash with parameters", func(l *layout) { l.hash = short(0x30, oid(t, sha256OID...), []byte{2, 1, 0}) }, "hashAlgorithm"},
		{"hash in a set", func(l *layout) { l.hash[0] = 0x31 }, "hashAlgorithm"},
		{"mask of SHA-1", func(l *layout) {
			l.mask = short(0x30, oid(t, 1, 2, 840, 113549, 1, 1, 8), short(0x30, oid(t, 1, 3, 14, 3, 2, 26), null))
		}, "hash of maskGenAlgorithm"},
		{"another mask", func(l *layout) { l.mask = short(0x30, l.keyAlgorithm, l.hash) }, "maskGenAlgorithm"},
		{"a label", func(l *layout) { l.label = short(0xa2, null) }, "RSAES-OAEP-params"},
		{"a short key", func(l *layout) { l.key = short(4, l.key[4:259]) }, "encryptedKey has 255 bytes, want 256"},
		{"a long key", func(l *layout) { l.key = short(4, []byte{0}, l.key[4:]) }, "encryptedKey has 257 bytes, want 256"},
		{"a key in chunks", func(l *layout) { l.key = long(0x24, l.key) }, "encryptedKey"},
		{"data type", func(l *layout) { l.dataType = l.contentType }, "contentType of EncryptedContentInfo"},
		{"AES-128", func(l *layout) { l.cipher = oid(t, 2, 16, 840, 1, 101, 3, 4, 1, 2) }, "contentEncryptionAlgorithm"},
		{"a short IV", func(l *layout) { l.iv = short(4, l.iv[3:]) }, "IV has 15 bytes"},
		{"no content", func(l *layout) { l.content = nil }, "EncryptedContentInfo"},
		{"empty content", func(l *layout) { l.content = short(0x80) }, "encryptedContent has 0 bytes"},
		{"no chunks", func(l *layout) { l.content = long(0xa0) }, "encryptedContent has 0 bytes"},
		{"half a block", func(l *layout) { l.content = short(0x80, make([]byte, 24)) }, "encryptedContent has 24 bytes"},
		{"chunks in chunks", func(l *layout) { l.content = long(0xa0, long(0x24, l.content[2:len(l.content)-2])) }, "encryptedContent"},
		{"chunks of another kind", func(l *layout) { l.content[2] = 0x80 }, "encryptedContent"},
		{"content of another kind", func(l *layout) { l.content = short(4, make([]byte, 16)) }, "encryptedContent"},
	} {
		l := kmsLayout(t, &key.PublicKey, []byte("canary"))
		test.change(l)
		got, err := envelope.Open(key, l.bytes())
		if got != nil || !errors.Is(err, envelope.ErrEnvelope) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %q, %v, want an error that contains %q", test.name, got, err, test.want)
		}
	}
}

// TestSaysNothingOfSecrets: what goes wrong after a secret was used is one error, whatever it is.
func TestSaysNothingOfSecrets(t *testing.T) {
	key := testKey(t)
	contentKey, iv := make([]byte, 32), make([]byte, 16)
	_, _ = rand.Read(iv)
	block := func(end ...byte) []byte { return append(bytes.Repeat([]byte{'x'}, 16-len(end)), end...) }
	for _, test := range []struct {
		name   string
		key    []byte
		padded []byte
	}{
		{"a key of 31 bytes", make([]byte, 31), block(1)},
		{"a key of 16 bytes", make([]byte, 16), block(1)},
		{"no key", nil, block(1)},
		{"padding of 0", contentKey, block(0)},
		{"padding of 17", contentKey, append(bytes.Repeat([]byte{17}, 16), bytes.Repeat([]byte{17}, 16)...)},
		{"padding of 255", contentKey, bytes.Repeat([]byte{255}, 32)},
		{"padding that differs", contentKey, block(3, 2, 3)},
		{"padding that differs at its beginning", contentKey, append([]byte{15}, bytes.Repeat([]byte{16}, 15)...)},
	} {
		l := kmsLayout(t, &key.PublicKey, nil)
		l.key, l.iv = short(4, encryptKey(t, &key.PublicKey, test.key)), short(4, iv)
		l.content = short(0x80, encryptContent(t, contentKey, iv, test.padded))
		if got, err := envelope.Open(key, l.bytes()); got != nil || err != envelope.ErrEnvelope { //nolint:errorlint // this very error
			t.Errorf("%s: got %q, %v, want %v and no more", test.name, got, err, envelope.ErrEnvelope)
		}
	}
	l := kmsLayout(t, &key.PublicKey, []byte("canary"))
	l.key[100] ^= 1
	if got, err := envelope.Open(key, l.bytes()); got != nil || err != envelope.ErrEnvelope { //nolint:errorlint // this very error
		t.Errorf("OAEP padding: got %q, %v, want %v and no more", got, err, envelope.ErrEnvelope)
	}
	l = kmsLayout(t, &key.PublicKey, []byte("canary"))
	l.key = short(4, bytes.Repeat([]byte{255}, 256))
	if got, err := envelope.Open(key, l.bytes()); got != nil || err != envelope.ErrEnvelope { //nolint:errorlint // this very error
		t.Errorf("a number above the modulus: got %q, %v, want %v and no more", got, err, envelope.ErrEnvelope)
	}
}

// TestOneByte: a change of one byte outside IV and ciphertext, which nothing protects, is always found.
func TestOneByte(t *testing.T) {
	key := testKey(t)
	plaintext := read(t, filepath.Join("testdata", "32.plain"))
	l := kmsLayout(t, &key.PublicKey, plaintext)
	openssl := read(t, filepath.Join("testdata", "32.der"))
	for name, sealed := range map[string]struct{ whole, iv, ciphertext []byte }{
		"KMS":     {l.bytes(), l.iv[2:], l.content[4 : len(l.content)-2]},
		"OpenSSL": {openssl, openssl[417:433], openssl[435:]},
	} {
		ciphertext, iv := bytes.Index(sealed.whole, sealed.ciphertext), bytes.Index(sealed.whole, sealed.iv)
		if len(sealed.ciphertext) != 48 || len(sealed.iv) != 16 || ciphertext < 0 || iv < 0 {
			t.Fatal("ciphertext and IV were not found")
		}
		encryptedKey := bytes.Index(sealed.whole, []byte{4, 0x82, 1, 0}) + 4
		for at := range sealed.whole {
			bits := []byte{0x01, 0x20, 0x80}
			if at >= encryptedKey && at < encryptedKey+256 {
				bits = bits[:1] // each costs a decryption
			}
			// What is changed in the IV or the first block leaves the padding, in the last of three, alone; in the others it may by chance.
			first := at >= iv && at < iv+16 || at >= ciphertext && at < ciphertext+16
			later := at >= ciphertext+16 && at < ciphertext+48
			for _, bit := range bits {
				changed := bytes.Clone(sealed.whole)
				changed[at] ^= bit
				got, err := envelope.Open(key, changed)
				if err == nil && bytes.Equal(got, plaintext) {
					t.Errorf("%s: a change of byte %d changes nothing", name, at)
				}
				if (err == nil) != first && !later {
					t.Errorf("%s: byte %d changed: %v", name, at, err)
				}
			}
		}
	}
}

func TestEveryBeginningIsRefused(t *testing.T) {
	key := testKey(t)
	for _, whole := range [][]byte{
		kmsLayout(t, &key.PublicKey, []byte("canary")).bytes(), read(t, filepath.Join("testdata", "32.der")),
		read(t, filepath.Join("testdata", "32.ber")),
	} {
		for n := range whole {
			if got, err := envelope.Open(key, whole[:n:n]); got != nil || !errors.Is(err, envelope.ErrEnvelope) {
				t.Errorf("the first %d of %d bytes: got %q, %v", n, len(whole), got, err)
			}
		}
	}
}

func TestAnotherKeyOpensNothing(t *testing.T) {
	key := testKey(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	l := kmsLayout(t, &key.PublicKey, []byte("canary"))
	l.name = kmsLayout(t, &other.PublicKey, nil).name
	if got, err := envelope.Open(other, l.bytes()); got != nil || err != envelope.ErrEnvelope { //nolint:errorlint // this very error
		t.Errorf("got %q, %v", got, err)
	}
}
