package filesystem

import (
	"os"
	"testing"
)

// BenchmarkKey is what one key takes of one CPU, from its files to the key in memory. docs/keys.md has the figures.
func BenchmarkKey(b *testing.B) {
	for _, name := range []string{"scrypt", "pbkdf2"} {
		b.Run(name, func(b *testing.B) {
			text, err := os.ReadFile("testdata/eip2335-" + name + ".json")
			if err != nil {
				b.Fatal(err)
			}
			memory := NewKDFMemory(100, 1<<30)
			for b.Loop() {
				key, err := OpenKeystore(b.Context(), memory, text, []byte(eipPassword))
				if err != nil {
					b.Fatal(err)
				}
				key.Wipe()
			}
		})
	}
	b.Run("raw", func(b *testing.B) {
		text := []byte("type: file-raw\nkeyType: BLS\nprivateKey: \"" + eipSecret + "\"\n")
		for b.Loop() {
			d, err := parseDescriptor(text, "/keys")
			if err != nil {
				b.Fatal(err)
			}
			key, err := d.rawKey()
			if err != nil {
				b.Fatal(err)
			}
			key.PublicKey()
			key.Wipe()
		}
	})
}
