package attestation

import (
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
)

// reference is a second opinion: the strictest that package cbor can be told to be.
func reference(t testing.TB) cbor.DecMode {
	t.Helper()
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, TagsMd: cbor.TagsForbidden, MaxNestedLevels: maxNesting,
		MaxArrayElements: maxArray, MaxMapPairs: maxPairs, IntDec: cbor.IntDecConvertSignedOrBigInt,
		MapKeyByteString: cbor.MapKeyByteStringAllowed,
	}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	return mode
}

// asAny turns a decoded item into what package cbor makes of the same bytes.
func asAny(it item) any {
	switch it.major {
	case majorUint:
		return int64(it.n)
	case majorNegative:
		return -1 - int64(it.n)
	case majorBytes:
		return append([]byte{}, it.str...)
	case majorText:
		return string(it.str)
	case majorArray:
		out := []any{}
		for _, e := range it.items {
			out = append(out, asAny(e))
		}
		return out
	case majorMap:
		out := map[any]any{}
		for i := 0; i < len(it.items); i += 2 {
			key := asAny(it.items[i])
			if b, ok := key.([]byte); ok {
				key = cbor.ByteString(b)
			}
			out[key] = asAny(it.items[i+1])
		}
		return out
	case majorSimple:
		return map[uint64]any{20: false, 21: true, 22: nil}[it.n]
	case majorTag:
	}
	return "unreachable"
}

// hasBig tells whether there is a number in it that Go's integers do not hold.
func hasBig(it item) bool {
	return it.major <= majorNegative && it.n > math.MaxInt64 || slices.ContainsFunc(it.items, hasBig)
}

// agree fails if we accept what the reference refuses, or read it differently.
func agree(t *testing.T, reference cbor.DecMode, in []byte) {
	t.Helper()
	it, err := decode(in)
	if err != nil {
		return
	}
	if hasBig(it) { // package cbor has no such keys
		if err := reference.Wellformed(in); err != nil {
			t.Fatalf("%x: accepted, but package cbor says %v", in, err)
		}
		return
	}
	var want any
	if err := reference.Unmarshal(in, &want); err != nil {
		t.Fatalf("%x: accepted, but package cbor says %v", in, err)
	}
	if got := asAny(it); !reflect.DeepEqual(want, got) { // cmp takes minutes for all the cases below
		t.Errorf("%x: read differently: %s", in, cmp.Diff(want, got))
	}
}

// payloads are those of the real documents.
func payloads(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.cose")
	if err != nil || len(files) != 3 {
		t.Fatalf("%d documents in testdata, want 3 (%v)", len(files), err)
	}
	out := make([][]byte, len(files))
	for i, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		env, err := openEnvelope(raw)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = env.payload
	}
	return out
}

func TestDecodeAgreesWithReference(t *testing.T) {
	mode := reference(t)
	for _, p := range payloads(t) {
		if _, err := decode(p); err != nil {
			t.Fatal(err)
		}
		agree(t, mode, p)
	}
	p := payloads(t)[0]
	for i := range p { // every byte changed, in the ways that matter most for heads
		for _, b := range []byte{p[i] ^ 1, p[i] ^ 0x20, p[i] | 0x1f, 0xf6} {
			changed := slices.Clone(p)
			changed[i] = b
			agree(t, mode, changed)
		}
	}
}

func TestDecode(t *testing.T) {
	mode := reference(t)
	for in, want := range map[string]string{
		"00": "", "17": "", "1818": "", "20": "", "40": "", "60": "", "80": "", "a0": "", "f4": "", "f5": "", "f6": "",
		"1bffffffffffffffff": "", "9fff": "", "bfff": "", "9f01ff": "", "bf0102ff": "", "a20001200 1": "", "a24101 f6 6101 f6": "",
		"81818180": "", "8181818180": "nested more than 4 deep", "9f9f9f9f9f": "nested more than 4 deep",
		"":                                     "1 bytes expected, 0 left",
		"18":                                   "1 bytes expected, 0 left",
		"1817":                                 "not in its shortest form",
		"1900ff":                               "not in its shortest form",
		"1a0000ffff":                           "not in its shortest form",
		"1b00000000ffffffff":                   "not in its shortest form",
		"5817":                                 "not in its shortest form",
		"1c":                                   "cannot begin",
		"1f":                                   "cannot begin",
		"3f":                                   "cannot begin",
		"df":                                   "cannot begin",
		"ff":                                   "cannot begin",
		"5f41 01ff":                            "chunked byte string",
		"7f6161ff":                             "chunked text",
		"4201":                                 "2 bytes expected, 1 left",
		"61ff":                                 "not UTF-8",
		"c000":                                 "tag not allowed",
		"d9d9f700":                             "tag not allowed",
		"e0":                                   "simple value 0",
		"f3":                                   "simple value 19",
		"f7":                                   "simple value 23",
		"f820":                                 "long simple value",
		"f90000":                               "float",
		"fb0000000000000000":                   "float",
		"0000":                                 "1 trailing bytes",
		"8101ff":                               "1 trailing bytes",
		"9f01":                                 "0 left",
		"bf01ff":                               "cannot begin",
		"a201":                                 "0 left",
		"a2010 20102":                          "duplicate key 1",
		"bf616100616100ff":                     `duplicate key "a"`,
		"a24101004101 00":                      "duplicate key h'01'",
		"a22000 2000":                          "duplicate key -1-0",
		"a1f600":                               "simple value as key",
		"a1a000":                               "map as key",
		"98" + "21" + strings.Repeat("00", 33): "array of more than 32",
		"9f" + strings.Repeat("00", 33) + "ff": "array of more than 32",
		"b841" + strings.Repeat("00", 9):       "duplicate key 0",
		"9bffffffffffffffff":                   "0 left",
		"bbffffffffffffffff":                   "0 left",
		"5bffffffffffffffff":                   "18446744073709551615 bytes expected, 0 left",
	} {
		raw, err := hex.DecodeString(strings.ReplaceAll(in, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		_, err = decode(raw)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
		agree(t, mode, raw)
	}
}

func TestDecodeBoundsMaps(t *testing.T) {
	var in []byte
	for i := range byte(maxPairs + 1) {
		in = append(in, 0x42, 1, i, 0) // a key of two bytes, and 0
	}
	if _, err := decode(append([]byte{0xb8, maxPairs}, in[:4*maxPairs]...)); err != nil {
		t.Errorf("%d pairs: %v", maxPairs, err)
	}
	if _, err := decode(append([]byte{0xb8, maxPairs + 1}, in...)); err == nil || !strings.Contains(err.Error(), "more than 64") {
		t.Errorf("%d pairs: %v", maxPairs+1, err)
	}
}

// The seeds are short, for the fuzzer spends its time on making long ones shorter; real payloads are changed byte by byte above.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"\xa3\x64pcrs\xa2\x00\x41\x01\x10\x42\x02\x03\x68cabundle\x82\x40\x41\x04\x65nonce\xf6",
		"\xbf\x00\x9f\x01\xff\x20\xf4\xff",
		"\xa1\x41\x00\xf6",
		"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
		"\xbf\x1b\xc50000000\x30\xff",
		"\x7f\x61a\xff",
		"\xc1\xf9\x00\x00",
	} {
		f.Add([]byte(s))
	}
	mode := reference(f)
	f.Fuzz(func(t *testing.T, in []byte) { agree(t, mode, in) })
}
