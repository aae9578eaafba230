package envelope_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/envelope"
)

// vector is what one of OpenSSL's envelopes is made of.
type vector struct {
	size                       int
	plain, key, iv, ciphertext []byte
}

// vectors are those with definite lengths and the content in one piece, which stands last.
func vectors(t testing.TB) []vector {
	t.Helper()
	var out []vector
	for _, file := range glob(t, "*.plain", 5) {
		whole, plain := read(t, strings.TrimSuffix(file, ".plain")+".der"), read(t, file)
		iv := bytes.LastIndex(whole, oid(t, 2, 16, 840, 1, 101, 3, 4, 1, 42)) + 11 // element of the IV
		if !bytes.HasPrefix(whole[iv:], []byte{4, 16}) || !bytes.HasPrefix(whole[129:], []byte{4, 0x82, 1, 0}) {
			t.Fatalf("%s is not laid out as it was", file)
		}
		out = append(out, vector{len(whole), plain, whole[133:389], whole[iv+2 : iv+18], whole[len(whole)-len(pad(plain)):]})
	}
	return out
}

// FuzzOpen: there is a content or an error. A content needs a key that somebody sealed, and with its own IV and ciphertext it is what that
// one sealed.
func FuzzOpen(f *testing.F) {
	for _, count := range []struct {
		pattern string
		files   int
	}{{"*.der", 16}, {"*.ber", 5}} {
		for _, file := range glob(f, count.pattern, count.files) {
			f.Add(read(f, file))
		}
	}
	key, known := testKey(f), vectors(f)
	for _, file := range glob(f, "*.ber", 5) { // of other keys than those of the .der
		in := read(f, file)
		at := bytes.Index(in, []byte{4, 0x82, 1, 0}) + 4
		known = append(known, vector{key: in[at : at+256]})
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := envelope.Open(key, bytes.Clone(in))
		if err != nil {
			if got != nil || !errors.Is(err, envelope.ErrEnvelope) {
				t.Errorf("got %x, %v", got, err)
			}
			return
		}
		sealed := false
		for _, v := range known {
			sealed = sealed || bytes.Contains(in, v.key)
			same := len(in) == v.size && bytes.Contains(in, v.key) && bytes.Contains(in, v.iv) && bytes.HasSuffix(in, v.ciphertext)
			if same && !bytes.Equal(got, v.plain) {
				t.Errorf("got %x, want %x", got, v.plain)
			}
		}
		if !sealed || len(got) >= len(in) {
			t.Errorf("got %x of %x", got, in)
		}
	})
}
