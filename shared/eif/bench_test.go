package eif_test

import (
	"crypto/sha512"
	"strings"
	"testing"
)

// BenchmarkParse compares reading and measuring an image with SHA-384 alone. The application is in two registers: "bare once" is over
// every byte of it once, which is the least that is needed where both hashes run side by side; "bare twice" is over as many
// bytes as the registers are, one after the other.
func BenchmarkParse(b *testing.B) {
	kernelBody, boot, app := strings.Repeat("k", 8<<20), strings.Repeat("b", 1<<20), strings.Repeat("a", 55<<20)
	raw := file{version: 4, sections: []section{
		{kernel, kernelBody}, {cmdline, "cmdline"}, {metadata, someMetadata}, {ramdisk, boot}, {ramdisk, app},
	}}.bytes()
	b.Run("bare once", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			h := sha512.New384()
			h.Write(raw[548:])
			h.Sum(nil)
		}
	})
	b.Run("bare twice", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			h := sha512.New384()
			h.Write(raw[548:])
			h.Sum(nil)
			h.Reset()
			h.Write(raw[len(raw)-len(app):])
			h.Sum(nil)
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := parse(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}
