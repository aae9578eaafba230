package interchange_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
)

var network = eth2.Root{0xaa, 0xbb}

const (
	rootText = `"0xaabb000000000000000000000000000000000000000000000000000000000000"`
	metadata = `"metadata": {"interchange_format_version": "5", "genesis_validators_root": ` + rootText + `}`
)

// key is the text of a key.
func key(n byte) string { return `"` + bls.PublicKey{n}.String() + `"` }

// signed is the text of a signing root.
func signed(n byte) string {
	return `"0x` + strings.Repeat("0", 62) + string([]byte{'0' + n/10, '0' + n%10}) + `"`
}

// entry is one element of data.
func entry(n byte, blocks, attestations string) string {
	return `{"pubkey": ` + key(n) + `, "signed_blocks": [` + blocks + `], "signed_attestations": [` + attestations + `]}`
}

func document(entries ...string) string {
	return `{` + metadata + `, "data": [` + strings.Join(entries, ",") + `]}`
}

func TestRead(t *testing.T) {
	attestation := func(source, target uint64) *slashing.Attestation {
		return &slashing.Attestation{Source: source, Target: target, RootUnknown: true}
	}
	block := func(slot uint64) *slashing.Block { return &slashing.Block{Slot: slot, RootUnknown: true} }
	root := eth2.Root{31: 7}
	for _, test := range []struct {
		name, text string
		want       interchange.Contents
	}{
		{"nothing", document(), interchange.Contents{}},
		{"null for arrays", `{"data": null, ` + metadata + `}`, interchange.Contents{}},
		{
			"key without messages", document(`{"signed_attestations": null, "signed_blocks": [], "pubkey": ` + key(1) + `}`),
			interchange.Contents{Records: []slashing.Record{{Key: bls.PublicKey{1}}}},
		},
		{
			"minimal, without roots", document(entry(1, `{"slot": "81952"}`, `{"source_epoch": "2290", "target_epoch": "3007"}`)),
			interchange.Contents{
				Records:      []slashing.Record{{Key: bls.PublicKey{1}, Attestation: attestation(2290, 3007), Block: block(81952)}},
				Attestations: 1, Blocks: 1,
			},
		},
		{
			"a known root, a zero root, a null root", document(
				entry(1, `{"slot": "3", "signing_root": `+signed(7)+`}`, ``),
				entry(2, `{"slot": "3", "signing_root": `+signed(0)+`}`, ``),
				entry(3, `{"slot": "3", "signing_root": null}`, ``),
			),
			interchange.Contents{Records: []slashing.Record{
				{Key: bls.PublicKey{1}, Block: &slashing.Block{Slot: 3, Root: root}},
				{Key: bls.PublicKey{2}, Block: &slashing.Block{Slot: 3}},
				{Key: bls.PublicKey{3}, Block: block(3)},
			}, Blocks: 3},
		},
		{
			"bare numbers, unknown fields, data before metadata, keys out of order",
			`{"data": [` + entry(9, `{"slot": 4, "slot_time": [{"a": {}}, 1.5e3]}`, ``) + `, {"note": "x", "pubkey": "` + strings.Repeat("0", 96) +
				`", "signed_blocks": [], "signed_attestations": [{"target_epoch": 2, "source_epoch": 1}]}], "tool": {"tool": []},
				"metadata": {"interchange_format": "complete", "genesis_validators_root": ` + rootText + `, "interchange_format_version": 5}}` + "\n",
			interchange.Contents{Records: []slashing.Record{
				{Attestation: attestation(1, 2)},
				{Key: bls.PublicKey{9}, Block: block(4)},
			}, Attestations: 1, Blocks: 1},
		},
		{
			"the greatest heights, of several entries", document(
				entry(1, `{"slot": "5"},{"slot": "9", "signing_root": `+signed(7)+`},{"slot": "7"}`, `{"source_epoch": "3", "target_epoch": "4"}`),
				entry(1, `{"slot": "8"}`, `{"source_epoch": "1", "target_epoch": "6", "signing_root": `+signed(7)+`}`),
			),
			interchange.Contents{
				Records:      []slashing.Record{{Key: bls.PublicKey{1}, Attestation: attestation(3, 6), Block: &slashing.Block{Slot: 9, Root: root}}},
				Attestations: 2, Blocks: 4,
			},
		},
		{
			"as deep as is read, again and again",
			`{"x": ` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `, "y": ` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `,` + document()[1:],
			interchange.Contents{},
		},
		{
			"the highest height", document(entry(1, `{"slot": "9223372036854775807"}`, ``)),
			interchange.Contents{Records: []slashing.Record{{Key: bls.PublicKey{1}, Block: block(slashing.MaxHeight)}}, Blocks: 1},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole": strings.NewReader(test.text), "byte by byte": iotest.OneByteReader(strings.NewReader(test.text)),
			} {
				got, err := interchange.Read(r, network)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	good := entry(1, `{"slot": "1"}`, `{"source_epoch": "1", "target_epoch": "2"}`)
	att := func(text string) string {
		return document(good, entry(2, ``, `{"source_epoch": "1", "target_epoch": "2"},`+text))
	}
	block := func(text string) string { return document(entry(2, text, ``)) }
	for _, test := range []struct{ name, text, field, says string }{
		{"nothing", "", "", "ends in the middle"},
		{"not JSON", "slashing", "", "not JSON near byte"},
		{"an array", "[]", "", "want an object, not '['"},
		{"null", "null", "", "want an object, not null"},
		{"no metadata", `{"data": []}`, "metadata", "missing"},
		{"no data", `{` + metadata + `}`, "data", "missing"},
		{"data is an object", `{` + metadata + `, "data": {}}`, "data", "want an array, not '{'"},
		{"metadata is null", `{"metadata": null, "data": []}`, "metadata", "want an object, not null"},
		{"version 4", strings.Replace(document(), `"5"`, `"4"`, 1), "metadata.interchange_format_version", `version "4"; only version 5`},
		{"version null", strings.Replace(document(), `"5"`, `null`, 1), "metadata.interchange_format_version", "want a string, not null"},
		{"no version", strings.Replace(document(), `_version`, `_verzion`, 1), "metadata.interchange_format_version", "missing"},
		{"no root", strings.Replace(document(), `genesis_`, `Genesis_`, 1), "metadata.genesis_validators_root", "missing"},
		{"short root", strings.Replace(document(), `0xaabb`, `0xaa`, 1), "metadata.genesis_validators_root", "62 hexadecimal digits, want 64"},
		{"duplicate metadata", `{` + metadata + `,` + metadata + `}`, "metadata", "twice"},
		{"duplicate data", `{` + metadata + `, "data": [], "data": []}`, "data", "twice"},
		{"duplicate in an escape", block(`{"slot": "1", "\u0073lot": "2"}`), "data[0].signed_blocks[0].slot", "twice"},
		{"more after the end", document() + "{}", "", "something follows"},
		{"garbage after the end", document() + "}", "", "something follows"},
		{"no pubkey", document(`{"signed_blocks": [], "signed_attestations": []}`), "data[0].pubkey", "missing"},
		{"misspelt attestations", document(good, strings.Replace(good, "signed_att", "signed_At", 1)), "data[1].signed_attestations", "missing"},
		{"no blocks", document(strings.Replace(good, "signed_blocks", "blocks", 1)), "data[0].signed_blocks", "missing"},
		{"short pubkey", document(strings.Replace(good, "0x01", "0x", 1)), "data[0].pubkey", "96 hexadecimal digits"},
		{"entry is a number", document("7"), "data[0]", "want an object, not 7"},
		{"source above target", att(`{"source_epoch": "3", "target_epoch": "2"}`), "data[1].signed_attestations[1].source_epoch", "source 3 is above target 2"},
		{"negative", att(`{"source_epoch": "-1", "target_epoch": "2"}`), "data[1].signed_attestations[1].source_epoch", "negative"},
		{"negative number", att(`{"source_epoch": -1, "target_epoch": "2"}`), "data[1].signed_attestations[1].source_epoch", "negative"},
		{"huge", att(`{"source_epoch": "1", "target_epoch": "9223372036854775808"}`), "data[1].signed_attestations[1].target_epoch", "is above 9223372036854775807"},
		{"more than 64 bits", block(`{"slot": 99999999999999999999999999}`), "data[0].signed_blocks[0].slot", "is above"},
		{"far future", block(`{"slot": "18446744073709551615"}`), "data[0].signed_blocks[0].slot", "is above"},
		{"fraction", block(`{"slot": 1.0}`), "data[0].signed_blocks[0].slot", "not a whole decimal number"},
		{"exponent", block(`{"slot": 1e3}`), "data[0].signed_blocks[0].slot", "not a whole decimal number"},
		{"hexadecimal", block(`{"slot": "0x10"}`), "data[0].signed_blocks[0].slot", "not a whole decimal number"},
		{"empty", block(`{"slot": ""}`), "data[0].signed_blocks[0].slot", "not a whole decimal number"},
		{"plus", block(`{"slot": "+1"}`), "data[0].signed_blocks[0].slot", "not a whole decimal number"},
		{"null height", block(`{"slot": null}`), "data[0].signed_blocks[0].slot", "want a string, not null"},
		{"no target", att(`{"source_epoch": "1"}`), "data[1].signed_attestations[1].target_epoch", "missing"},
		{"empty signing root", block(`{"slot": "1", "signing_root": ""}`), "data[0].signed_blocks[0].signing_root", "0x"},
		{"signing root is a number", block(`{"slot": "1", "signing_root": 0}`), "data[0].signed_blocks[0].signing_root", "want a string, not 0"},
		{"endless value", `{"x": "` + strings.Repeat("x", 3<<20), "", "longer than 1048576 bytes"},
		{"deep", `{"x": ` + strings.Repeat("[", 64), "", "nested deeper than 64, near byte 70"},
		{"deep objects", `{"x": ` + strings.Repeat(`{"y":`, 64), "", "nested deeper than 64"},
		{"deep in a known field", block(`{"slot": "1", "x": ` + strings.Repeat("[", 60)), "data[0].signed_blocks[0]", "nested deeper than 64"},
		{"endless white space", strings.Repeat(" ", 3<<20) + document(), "", "longer than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := interchange.Read(strings.NewReader(test.text), network)
			if !errors.Is(err, interchange.ErrFormat) || errors.Is(err, slashing.ErrNetwork) || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want an ErrFormat that says %q", err, test.says)
			}
			if e, ok := errors.AsType[*interchange.Error](err); !ok || e.Field != test.field {
				t.Errorf("%v: field %q, want %q", err, e.Field, test.field)
			}
			if len(err.Error()) > 400 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if got.Records != nil {
				t.Errorf("returned %+v beside an error", got)
			}
		})
	}
}

func TestReadOtherNetwork(t *testing.T) {
	_, err := interchange.Read(strings.NewReader(document()), eth2.Root{1})
	if !errors.Is(err, slashing.ErrNetwork) || errors.Is(err, interchange.ErrFormat) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"metadata.genesis_validators_root: the file is for another network: ", "is 0xaabb0000", "this one's is 0x01000000"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not have %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "store") {
		t.Errorf("%v: speaks of a store, which has nothing to do with it", err)
	}
}

// TestReadTruncated: however much of a file is missing, nothing is taken from the rest.
func TestReadTruncated(t *testing.T) {
	text := document(entry(1, `{"slot": "1", "signing_root": `+signed(7)+`}`, `{"source_epoch": "1", "target_epoch": 2}`), entry(2, ``, ``))
	for n := range len(text) {
		got, err := interchange.Read(strings.NewReader(text[:n]), network)
		if !errors.Is(err, interchange.ErrFormat) || got.Records != nil {
			t.Fatalf("%d of %d bytes: %+v, %v", n, len(text), got, err)
		}
	}
}

// TestReadFailingReader: what the reader says is not taken for a fault of the file.
func TestReadFailingReader(t *testing.T) {
	text, broken := document(entry(1, `{"slot": "1"}`, ``)), errors.New("disk on fire")
	for n := range len(text) {
		r := io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(broken))
		if got, err := interchange.Read(r, network); !errors.Is(err, broken) || errors.Is(err, interchange.ErrFormat) || got.Records != nil {
			t.Fatalf("after %d of %d bytes: %+v, %v", n, len(text), got, err)
		}
	}
}
