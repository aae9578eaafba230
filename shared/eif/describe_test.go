package eif_test

import (
	"crypto"
	"crypto/elliptic"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

func TestDescribe(t *testing.T) {
	f := good()
	f.flags, f.sections[2].body = 1, `{"ImageName": "chamber"}`
	raw := f.bytes()
	want := `enclave image, version 4, for arm64, 671 bytes; default memory 1073741824 bytes, default CPUs 2
PCR0 ` + pcrEverything + `
PCR1 ` + pcrKernelBoot + `
PCR2 ` + pcrApp + `
cmdline "cmdline"
section 0 at 548: kernel of 6 bytes, in PCR0 and PCR1
section 1 at 566: cmdline of 7 bytes, in PCR0 and PCR1
section 2 at 585: metadata of 24 bytes, not measured
section 3 at 621: ramdisk of 4 bytes, in PCR0 and PCR1
section 4 at 637: ramdisk of 4 bytes, in PCR0 and PCR2
section 5 at 653: ramdisk of 4 bytes, in PCR0 and PCR2
not signed
metadata, NOT MEASURED, anybody can change it: {"ImageName":"chamber"}
`
	want = strings.Replace(want, "671", strconv.Itoa(len(raw)), 1)
	d := mustParse(t, raw).Describe()
	if diff := cmp.Diff(want, d.String()); diff != "" {
		t.Error(diff)
	}
	encoded, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`"version":4,"architecture":"arm64"`, `"pcrs":{"PCR0":"` + pcrEverything + `"`, `"cmdline":"cmdline"`,
		`{"type":"ramdisk","offset":653,"size_bytes":4,"measured_in":["PCR0","PCR2"]}`, `{"type":"metadata","offset":585,"size_bytes":24}`,
		`"unmeasured_metadata":{"ImageName":"chamber"}`,
	} {
		if !strings.Contains(string(encoded), part) {
			t.Errorf("%s is not in %s", part, encoded)
		}
	}
}

func TestDescribeWithoutMetadata(t *testing.T) {
	d := mustParse(t, file{version: 3, sections: []section{{kernel, "kernel"}, {cmdline, "cmdline"}}}.bytes()).Describe()
	if d.Metadata != nil || strings.Contains(d.String(), "metadata") {
		t.Errorf("got %s", d)
	}
	if encoded, err := json.Marshal(d); err != nil || strings.Contains(string(encoded), "metadata") {
		t.Errorf("got %s, %v", encoded, err)
	}
}

func TestDescribeSigned(t *testing.T) {
	s := newSigner(t, es384, elliptic.P384(), crypto.SHA384)
	f := mustParse(t, signedWith(s.section(t, pcr0OfGood(t))))
	d := f.Describe()
	want := eif.SignerDescription{
		Algorithm: "ES384", Subject: "CN=containment-chamber", Issuer: "CN=containment-chamber", Serial: "abcdef",
		NotBefore: f.Signer.Certificate.NotBefore, NotAfter: f.Signer.Certificate.NotAfter, Fingerprint: d.Signer.Fingerprint,
	}
	if diff := cmp.Diff(want, *d.Signer); diff != "" {
		t.Error(diff)
	}
	if got := d.PCRs["PCR8"]; got != f.PCRs[8].String() || len(got) != 96 {
		t.Errorf("PCR8 is %q", got)
	}
	line := "signed with ES384 by the key of certificate " + d.Signer.Fingerprint +
		`, which says: subject "CN=containment-chamber", issuer "CN=containment-chamber", serial abcdef, from 2020-01-01T00:00:00Z to 2021-01-01T00:00:00Z` + "\n"
	if !strings.Contains(d.String(), line) || !strings.Contains(d.String(), "PCR8 "+d.PCRs["PCR8"]) {
		t.Errorf("%q is not in\n%s", line, d)
	}
}

// TestDescribeHostile: what a file says of itself cannot move the cursor, end a line, or change the direction of writing.
func TestDescribeHostile(t *testing.T) {
	f := good()
	f.sections[1].body = "cmd\x1b[2J\nPCR0 0000\u202e\xff"
	f.sections[2].body = "{ \"ImageName\":\n\"a\u202e\u009b2J\x7f\u2028\U000e0001é\\u001b\" }"
	d := mustParse(t, f.bytes()).Describe()
	for _, r := range d.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%U is in the text", r)
		}
	}
	if lines := strings.Count(d.String(), "\n"); lines != 13 {
		t.Errorf("%d lines:\n%s", lines, d)
	}
	const want = `{"ImageName":"a\u202e\u009b2J\u007f\u2028\udb40\udc01é\u001b"}`
	if string(d.Metadata) != want {
		t.Errorf("metadata %s, want %s", d.Metadata, want)
	}
	var before, after any
	if err := json.Unmarshal([]byte(f.sections[2].body), &before); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(d.Metadata, &after); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		eif.X8664.String(): "x86_64", eif.ARM64.String(): "arm64", eif.Arch(2).String(): "architecture 2",
		eif.KernelSection.String(): "kernel", eif.SignatureSection.String(): "signature", eif.SectionType(6).String(): "type 6",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
