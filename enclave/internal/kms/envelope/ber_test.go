package envelope

import (
	"bytes"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestElements(t *testing.T) {
	cmpElements := cmp.AllowUnexported(element{})
	deep := func(n int) []byte {
		return append(bytes.Repeat([]byte{0x30, 0x80}, n), bytes.Repeat([]byte{0, 0}, n)...)
	}
	for _, test := range []struct {
		name string
		in   string
		want element
		err  string
	}{
		{name: "primitive", in: "\x04\x01x", want: element{tag: 4, content: []byte("x")}},
		{name: "empty", in: "\x30\x00", want: element{tag: 0x30}},
		{name: "empty, indefinite", in: "\x30\x80\x00\x00", want: element{tag: 0x30}},
		{
			name: "definite in indefinite", in: "\x30\x80\x30\x02\x05\x00\x00\x00",
			want: element{tag: 0x30, elements: []element{{tag: 0x30, elements: []element{{tag: 5, content: []byte{}}}}}},
		},
		{
			name: "indefinite in definite", in: "\x30\x06\x30\x80\x05\x00\x00\x00",
			want: element{tag: 0x30, elements: []element{{tag: 0x30, elements: []element{{tag: 5, content: []byte{}}}}}},
		},
		{name: "zeros inside", in: "\x30\x80\x04\x02\x00\x00\x00\x00", want: element{tag: 0x30, elements: []element{{tag: 4, content: []byte{0, 0}}}}},
		{name: "128 bytes", in: "\x04\x81\x80" + strings.Repeat("x", 128), want: element{tag: 4, content: bytes.Repeat([]byte("x"), 128)}},

		{name: "nothing", in: "", err: "ends early"},
		{name: "a tag alone", in: "\x30", err: "ends early"},
		{name: "less than said", in: "\x04\x02x", err: "ends early"},
		{name: "more than said", in: "\x04\x01xy", err: "1 bytes after the end"},
		{name: "a length cut off", in: "\x04\x82\x01", err: "ends early"},
		{name: "a length in three bytes", in: "\x04\x83\x00\x00\x01x", err: "ends early"},
		{name: "a long length", in: "\x04\x81\x01x", err: "shortest form"},
		{name: "a longer length", in: "\x04\x82\x00\x80" + strings.Repeat("x", 128), err: "shortest form"},
		{name: "reserved length", in: "\x04\xff", err: "ends early"},
		{name: "child longer than its parent", in: "\x30\x03\x04\x02x", err: "ends early"},
		{name: "no end", in: "\x30\x80\x05\x00", err: "ends early"},
		{name: "half an end", in: "\x30\x80\x05\x00\x00", err: "ends early"},
		{name: "an end with a length", in: "\x30\x80\x00\x01\x00\x00", err: "unexpected tag 0x00"},
		{name: "an end where none is due", in: "\x30\x02\x00\x00", err: "unexpected tag 0x00"},
		{name: "an end after the end", in: "\x30\x80\x00\x00\x00\x00", err: "2 bytes after the end"},
		{name: "primitive without length", in: "\x04\x80x\x00\x00", err: "tag 0x04 has no length"},
		{name: "tag of several bytes", in: "\x3f\x81\x01\x00", err: "unexpected tag 0x3f"},
		{name: "too deep", in: string(deep(maxDepth + 1)), err: "more than 11 deep"},
		{name: "far too deep", in: string(deep(4000)), err: "more than 11 deep"},
		{name: "too long", in: strings.Repeat("x", maxSize+1), err: "at most 16384 are allowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseElement([]byte(test.in))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want one that contains %q", err, test.err)
				}
				test.want = element{}
				got = element{}
			} else if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(test.want, got, cmpElements); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if _, err := parseElement(deep(maxDepth)); err != nil {
		t.Errorf("%d deep: %v", maxDepth, err)
	}
}

// der encodes an element with definite lengths.
func (e element) der(t *testing.T) []byte {
	t.Helper()
	content := e.content
	for _, child := range e.elements {
		content = append(content, child.der(t)...)
	}
	out, err := asn1.Marshal(asn1.RawValue{
		Class: int(e.tag >> 6), Tag: int(e.tag & 0x1f), IsCompound: e.tag&constructed != 0, Bytes: content,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// FuzzElements: what is accepted means the same when it is encoded with definite lengths, also to the standard library; if it had no others
// it is encoded in the same bytes.
func FuzzElements(f *testing.F) {
	for _, seed := range []string{
		"\x30\x80\x30\x02\x05\x00\x00\x00", "\x30\x06\x30\x80\x05\x00\x00\x00", "\x24\x80\x04\x01x\x04\x01y\x00\x00",
		"\x30\x81\x80" + strings.Repeat("\x05\x00", 64), "\x04\x82\x01\x00" + strings.Repeat("x", 256), "\x04\x83\x00\x00\x01x",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		parsed, err := parseElement(bytes.Clone(in))
		if err != nil {
			return
		}
		out := parsed.der(t)
		if len(out) == len(in) && !bytes.Equal(out, in) {
			t.Errorf("%x is encoded again as %x", in, out)
		}
		again, err := parseElement(out)
		if diff := cmp.Diff(parsed, again, cmp.AllowUnexported(element{})); err != nil || diff != "" {
			t.Errorf("%x means another thing as %x: %v\n%s", in, out, err, diff)
		}
		var raw asn1.RawValue
		if rest, err := asn1.Unmarshal(out, &raw); err != nil || len(rest) > 0 {
			t.Errorf("the standard library refuses %x: %v", out, err)
		}
	})
}
