package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestReadIdentityRefuses(t *testing.T) {
	body := func(text string) string {
		return string([]byte{byte(kindIdentity), 0, 0, byte(len(text) >> 8), byte(len(text))}) + text
	}
	long := strings.Repeat("x", maxName+1)
	for _, tt := range []struct{ name, bytes, because string }{
		{"short request", "\x06\x00\x00\x00\x01\x00", "malformed identity request"},
		{"long request", "\x06\x00\x00\x00\x03\x00\x01\x00", "message too large: identity request of 3 bytes, limit 2"},
		{"empty", body(""), "malformed identity"},
		{"half a length", body("\x02\x00"), "malformed identity"},
		{"a name that ends later", body("\x02\x00\x05role"), "malformed identity"},
		{"no source", body("\x00"), "identity of unknown source 0"},
		{"a source of the future", body("\x04\x00\x01at"), "identity of unknown source 4"},
		{"a source without anything", body("\x02"), "identity's name has 0 bytes, want 1 to 2048\nidentity's token has 0 bytes, want 1 to 20000"},
		{"nothing with a token", body("\x01\x00\x00t"), "malformed identity"},
		{"nothing, said longer", body("\x01\x00\x00"), "malformed identity"},
		{"no name", body("\x02\x00\x00token"), "identity's name has 0 bytes, want 1 to 2048"},
		{"long name", body("\x02\x08\x01" + long + "token"), "identity's name has 2049 bytes, want 1 to 2048"},
		{"no token", body("\x03\x00\x04role"), "identity's token has 0 bytes, want 1 to 20000"},
		{"a second header", body("\x03\x00\x01utok\r\nX: y"), "identity's token has, at 3, a byte that is no visible ASCII character"},
		{"a name with a space", body("\x03\x00\x03u ltoken"), "identity's name has, at 1, a byte that is no visible ASCII character"},
		{"all too large", "\x07\x00\x00\xff\xff", "message too large: identity of 65535 bytes, limit 22051"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ReadMessage(strings.NewReader(tt.bytes))
			if m != nil || err == nil || err.Error() != tt.because {
				t.Errorf("ReadMessage = %v, %v, want error %q", m, err, tt.because)
			}
		})
	}
}

// What would not be read is not written.
func TestWriteIdentityRefuses(t *testing.T) {
	for _, i := range []Identity{
		{},
		{Source: NoSource, Token: "t"},
		{Source: WebIdentity, Name: "role"},
		{Source: PodIdentity, Name: strings.Repeat("x", 1<<16+4), Token: "t"},
		{Source: WebIdentity, Name: "role", Token: strings.Repeat("x", MaxToken+1)},
	} {
		var b bytes.Buffer
		if err := WriteMessage(&b, i); err == nil || b.Len() != 0 {
			t.Errorf("%v: %v, %d bytes written", i, err, b.Len())
		}
	}
	if err := WriteMessage(failingWriter{errors.ErrUnsupported}, Identity{Source: WebIdentity, Name: strings.Repeat("x", maxName), Token: strings.Repeat("x", MaxToken)}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("the largest was not written: %v", err)
	}
}

func TestTokensDoNotPrint(t *testing.T) {
	i := Identity{Source: WebIdentity, Name: "role", Token: "canary-hush"}
	for _, verb := range []string{"%v", "%+v", "%s", "%q", "%#v"} {
		for _, v := range []any{i, &i, []Identity{i}, struct{ I Identity }{i}} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "hush") {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
}
