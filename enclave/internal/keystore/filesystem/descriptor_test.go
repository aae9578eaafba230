package filesystem

import (
	"strings"
	"testing"
)

// FuzzDescriptor: an error comes without a descriptor; what is accepted is complete, and its paths start in the
// directory unless they are absolute.
func FuzzDescriptor(f *testing.F) {
	f.Add([]byte("type: file-raw\nkeyType: BLS\nprivateKey: \"" + strings.Repeat("01", 32) + "\"\n"))
	f.Add([]byte("type: file-keystore\nkeyType: BLS\nkeystoreFile: a.json\nkeystorePasswordFile: /run/p\n"))
	f.Add([]byte("{type: file-raw, keyType: BLS, privateKey: &a [*a]}"))
	f.Add([]byte("---\n...\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseDescriptor(text, "/keys")
		if err != nil {
			if d != nil {
				t.Fatal("an error and a descriptor")
			}
			return
		}
		switch d.kind {
		case kindRaw:
			if len(d.private) == 0 || d.keystoreFile != "" {
				t.Fatalf("%+v", d)
			}
		case kindKeystore:
			if len(d.private) > 0 || !strings.HasPrefix(d.keystoreFile, "/") || !strings.HasPrefix(d.passwordFile, "/") {
				t.Fatalf("%+v", d)
			}
		default:
			t.Fatalf("kind %q", d.kind)
		}
	})
}
