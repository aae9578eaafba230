package age_test

import (
	"strings"
	"testing"

	tool "filippo.io/age"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/age"
)

// published is the recipient in the format's specification.
const published = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"

func TestParseRecipient(t *testing.T) {
	r, err := age.ParseRecipient(published)
	if err != nil {
		t.Fatal(err)
	}
	same, err := age.ParseRecipient(published)
	if err != nil || !r.Equal(same) {
		t.Errorf("the same recipient is another, %v", err)
	}
	if r.Equal(recipient(t, identity(t))) {
		t.Error("another recipient is the same")
	}
}

func TestParseRecipientRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":             {"", "does not begin with age1"},
		"another prefix":      {"bge1" + published[4:], "does not begin with age1"},
		"upper case":          {strings.ToUpper(published), "does not begin with age1"},
		"a space before":      {" " + published, "does not begin with age1"},
		"a line end":          {published + "\n", "has 63 characters, an X25519 recipient has 62"},
		"one missing":         {published[:61], "has 61 characters"},
		"a plugin":            {"age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt", "other kinds are not supported"},
		"post-quantum":        {"age1pq1" + strings.Repeat("x", 1900), "other kinds are not supported"},
		"one upper case":      {published[:10] + "R" + published[11:], `Bech32 in lower case does not have: 'R'`},
		"a letter too many":   {published[:10] + "b" + published[11:], `Bech32 in lower case does not have: 'b'`},
		"a mistyped letter":   {published[:10] + "q" + published[11:], "checksum"},
		"two letters swapped": {published[:20] + published[21:22] + published[20:21] + published[22:], "checksum"},
		"bits at the end":     {bech32(append(make([]byte, 51), 1)), "bits beyond its last byte"},
		"a point of order 1":  {bech32(make([]byte, 52)), "hides anything"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := age.ParseRecipient(tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.want) || r != (age.Recipient{}) {
				t.Errorf("%q: %v, %v, want %q", tc.text, r, err, tc.want)
			}
		})
	}
}

// bech32 writes 52 values as a recipient with the right checksum, which it finds by asking for each character in turn: the checksum is
// linear, so that one value at a time can be solved for.
func bech32(values []byte) string {
	const alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	generator := []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3}
	sum := uint32(1)
	add := func(v byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range generator {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	for _, v := range []byte{'a' >> 5, 'g' >> 5, 'e' >> 5, 0, 'a' & 31, 'g' & 31, 'e' & 31} {
		add(v)
	}
	text := "age1"
	for _, v := range values {
		add(v)
		text += alphabet[v : v+1]
	}
	for range 6 {
		add(0)
	}
	sum ^= 1
	for i := range 6 {
		v := sum >> (5 * (5 - i)) & 31
		text += alphabet[v : v+1]
	}
	return text
}

// FuzzParseRecipient: we accept what the tool accepts, but for keys that hide nothing.
func FuzzParseRecipient(f *testing.F) {
	f.Add(published)
	f.Add(strings.ToUpper(published))
	f.Add(bech32(make([]byte, 52)))
	f.Add(bech32(append(make([]byte, 51), 1)))
	f.Add(bech32(append(make([]byte, 51), 16)))
	f.Add("age1")
	f.Fuzz(func(t *testing.T, text string) {
		ours, err := age.ParseRecipient(text)
		theirs, want := tool.ParseX25519Recipient(text)
		if err == nil && want != nil {
			t.Fatalf("%q is accepted, the tool says: %v", text, want)
		}
		if err != nil && want == nil {
			if _, wrapped := theirs.Wrap(make([]byte, 16)); wrapped == nil {
				t.Fatalf("%q is refused, the tool accepts it: %v", text, err)
			}
		}
		if err != nil && ours != (age.Recipient{}) {
			t.Fatalf("%q: an error and a recipient", text)
		}
		if err == nil && theirs.String() != text {
			t.Fatalf("%q is accepted, and is %q", text, theirs)
		}
	})
}
