package atls_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

func example() atls.Binding {
	b := atls.Binding{Purpose: atls.PurposeProof, Build: "v1.2.3"}
	copy(b.SPKI[:], bytes.Repeat([]byte{0xaa}, 32))
	copy(b.Config[:], bytes.Repeat([]byte{0xbb}, 48))
	copy(b.Exporter[:], bytes.Repeat([]byte{0xcc}, 32))
	return b
}

// The encoding is a contract with other people's verifiers: it may not change without another version.
func TestBindingEncoding(t *testing.T) {
	want := "a6" +
		"00" + "781d" + hex.EncodeToString([]byte("containment-chamber binding 1")) +
		"01" + "65" + hex.EncodeToString([]byte("proof")) +
		"02" + "5820" + strings.Repeat("aa", 32) +
		"03" + "5830" + strings.Repeat("bb", 48) +
		"04" + "66" + hex.EncodeToString([]byte("v1.2.3"))
	raw, err := example().Marshal()
	if err != nil || hex.EncodeToString(raw) != want+"05"+"5820"+strings.Repeat("cc", 32) {
		t.Errorf("got %x, %v, want %s and the exporter", raw, err, want)
	}
	b := example()
	b.Purpose, b.Exporter = atls.PurposeKMS, [32]byte{}
	want = "a5" + strings.Replace(want[2:], "65"+hex.EncodeToString([]byte("proof")), "63"+hex.EncodeToString([]byte("kms")), 1)
	if raw, err := b.Marshal(); err != nil || hex.EncodeToString(raw) != want {
		t.Errorf("got %x, %v, want %s", raw, err, want)
	}
}

func TestBindingRoundTrip(t *testing.T) {
	for _, purpose := range []atls.Purpose{atls.PurposeCertificate, atls.PurposeProof, atls.PurposeKMS} {
		for _, build := range []string{"", "v1", strings.Repeat("x", 128)} {
			b := example()
			b.Purpose, b.Build = purpose, build
			if purpose != atls.PurposeProof {
				b.Exporter = [32]byte{}
			}
			raw, err := b.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := atls.ParseBinding(raw); err != nil || got != b || len(raw) > atls.MaxBinding {
				t.Errorf("got %v, %v from %d bytes, want %v", got, err, len(raw), b)
			}
		}
	}
}

func TestBindingMarshalRefuses(t *testing.T) {
	for words, change := range map[string]func(*atls.Binding){
		`purpose "" is unknown`:     func(b *atls.Binding) { b.Purpose = "" },
		`purpose "PROOF" is`:        func(b *atls.Binding) { b.Purpose = "PROOF" },
		"without an exporter":       func(b *atls.Binding) { b.Exporter = [32]byte{} },
		`one of purpose "kms"`:      func(b *atls.Binding) { b.Purpose = atls.PurposeKMS },
		"build of 129 bytes":        func(b *atls.Binding) { b.Build = strings.Repeat("x", 129) },
		"binding: build is not UTF": func(b *atls.Binding) { b.Build = "\xff" },
	} {
		b := example()
		change(&b)
		if raw, err := b.Marshal(); raw != nil || err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %x, %v, want %q", raw, err, words)
		}
	}
}

func TestParseBindingRefuses(t *testing.T) {
	good, err := example().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	// swap replaces one part of the encoding.
	swap := func(old, replacement string) []byte {
		if bytes.Count(good, []byte(old)) != 1 {
			t.Fatalf("%q does not stand once in %x", old, good)
		}
		return bytes.Replace(good, []byte(old), []byte(replacement), 1)
	}
	for name, test := range map[string]struct {
		in    []byte
		words string
	}{
		"empty":            {nil, "EOF"},
		"too long":         {make([]byte, 513), "513 bytes"},
		"truncated":        {good[:len(good)-1], "EOF"},
		"trailing":         {append(bytes.Clone(good), 0), "extraneous data"},
		"array":            {[]byte{0x80}, "binding:"},
		"empty map":        {[]byte{0xa0}, `version is ""`},
		"next version":     {swap("binding 1", "binding 2"), `version is "containment-chamber binding 2"`},
		"purpose":          {swap("proof", "prooF"), `purpose "prooF" is unknown`},
		"no build":         {append([]byte{0xa5}, swap("\x04\x66v1.2.3", "")[1:]...), "not in its one encoding"},
		"no exporter":      {append([]byte{0xa5}, good[1:len(good)-35]...), "without an exporter"},
		"short exporter":   {append(bytes.Clone(good[:len(good)-34]), append([]byte{0x58, 31}, bytes.Repeat([]byte{0xcc}, 31)...)...), "not in its one encoding"},
		"long exporter":    {append(bytes.Clone(good[:len(good)-34]), append([]byte{0x58, 33}, bytes.Repeat([]byte{0xcc}, 33)...)...), "not in its one encoding"},
		"unknown key":      {append([]byte{0xa7}, append(bytes.Clone(good[1:]), 6, 0)...), "not in its one encoding"},
		"duplicate key":    {append([]byte{0xa7}, append(bytes.Clone(good[1:]), 4, 0x60)...), "not in its one encoding"},
		"indefinite map":   {append([]byte{0xbf}, append(bytes.Clone(good[1:]), 0xff)...), "not in its one encoding"},
		"tag":              {append([]byte{0xd9, 0xd9, 0xf7}, good...), "not in its one encoding"},
		"long form":        {swap("\x04\x66v1.2.3", "\x04\x78\x06v1.2.3"), "not in its one encoding"},
		"chunked text":     {swap("\x04\x66v1.2.3", "\x04\x7f\x66v1.2.3\xff"), "not in its one encoding"},
		"short key digest": {swap("\x58\x20\xaa", "\x58\x1f"), "not in its one encoding"},
		"bytes for text":   {swap("\x04\x66v1.2.3", "\x04\x46v1.2.3"), "binding:"},
	} {
		if b, err := atls.ParseBinding(test.in); b != (atls.Binding{}) || err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: got %v, %v, want %q", name, b, err, test.words)
		}
	}
}

func FuzzParseBinding(f *testing.F) {
	good, err := example().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(append([]byte{0xbf}, append(bytes.Clone(good[1:]), 0xff)...))
	f.Add(good[:40])
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := atls.ParseBinding(in)
		if err != nil {
			if b != (atls.Binding{}) {
				t.Errorf("error %v with %v", err, b)
			}
			return
		}
		if again, err := b.Marshal(); err != nil || !bytes.Equal(again, in) {
			t.Errorf("accepted %x, encodes as %x, %v", in, again, err)
		}
	})
}
