package proxyproto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAppend(t *testing.T) {
	const head = "0d0a0d0a000d0a515549540a"
	for _, test := range []struct{ source, destination, want, read string }{
		{"192.0.2.1:50000", "198.51.100.2:9443", head + "2111000cc0000201c6336402c35024e3", "192.0.2.1:50000"},
		{"[2001:db8::1]:1", "[2001:db8::2]:2", head + "2121002420010db800000000000000000000000120010db800000000000000000000000200010002", "[2001:db8::1]:1"},
		{"192.0.2.1:1", "[2001:db8::2]:2", head + "2121002400000000000000000000ffffc000020120010db800000000000000000000000200010002", "192.0.2.1:1"},
		{"", "", head + "20000000", "invalid AddrPort"},
	} {
		source, _ := netip.ParseAddrPort(test.source)
		destination, _ := netip.ParseAddrPort(test.destination)
		got := Append(nil, source, destination)
		if hex.EncodeToString(got) != test.want {
			t.Errorf("%s → %s: %x, want %s", test.source, test.destination, got, test.want)
		}
		rest := strings.NewReader("TLS")
		back, err := Read(iotest.OneByteReader(io.MultiReader(bytes.NewReader(got), rest)))
		if err != nil || back.String() != test.read || rest.Len() != 3 {
			t.Errorf("%x is read as %s, %v, and %d bytes are left of 3", got, back, err, rest.Len())
		}
	}
}

func TestRead(t *testing.T) {
	const good = signature + "\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x09\x00\x0a"
	for name, test := range map[string]struct {
		in, want string
		err      error
	}{
		"with TLVs":         {signature + "\x21\x11\x00\x10" + good[fixed:] + "\x04\x00\x01x", "1.2.3.4:9", nil},
		"unix sockets":      {signature + "\x21\x31\x00\x04abcd", "invalid AddrPort", nil},
		"UDP":               {signature + "\x21\x12" + good[14:], "invalid AddrPort", nil},
		"LOCAL with more":   {signature + "\x20\x11" + good[14:], "invalid AddrPort", nil},
		"version 1":         {"PROXY TCP4 192.0.2.1 198.51.100.2 50000 9443\r\n", "", ErrMalformed},
		"TLS":               {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 20), "", ErrMalformed},
		"version 3":         {signature + "\x31\x11" + good[14:], "", ErrMalformed},
		"unknown command":   {signature + "\x22\x11" + good[14:], "", ErrMalformed},
		"too long":          {signature + "\x21\x11\xff\xff" + strings.Repeat("x", 1<<16), "", ErrMalformed},
		"addresses missing": {signature + "\x21\x21" + good[14:], "", ErrMalformed},
		"nothing":           {"", "", io.EOF},
		"cut in the head":   {good[:10], "", io.ErrUnexpectedEOF},
		"cut in the body":   {good[:20], "", io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(strings.NewReader(test.in))
			if !errors.Is(err, test.err) || err == nil && got.String() != test.want {
				t.Errorf("Read = %v, %v; want %s, %v", got, err, test.want, test.err)
			}
		})
	}
}

// FuzzRead holds the law: a source that is read is written again so that it is read again.
func FuzzRead(f *testing.F) {
	f.Add(Append(nil, netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")))
	f.Add(Append(nil, netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2")))
	f.Fuzz(func(t *testing.T, in []byte) {
		source, err := Read(bytes.NewReader(in))
		if err != nil || !source.IsValid() {
			return
		}
		again, err := Read(bytes.NewReader(Append(nil, source, netip.MustParseAddrPort("192.0.2.2:2"))))
		if err != nil || again != source {
			t.Fatalf("%v became %v, %v", source, again, err)
		}
	})
}
