package keymanager

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// decoded is an import as encoding/json has it.
type decoded struct {
	Keystores, Passwords []string
	SlashingProtection   *string `json:"slashing_protection"`
}

func TestReadImport(t *testing.T) {
	body := ` { "passwords" : [ "a\"b\\c\/\b\f\n\r\t", "\u00e9\ud83d\ude00\ud800x\udc00" , "é" ] ,"keystores":["{}","",""],"slashing_protection":"{\"a\":[1]}"} `
	in, err := readImport([]byte(body), 3)
	if err != nil {
		t.Fatal(err)
	}
	want := importRequest{
		keystores: [][]byte{[]byte("{}"), {}, {}},
		passwords: [][]byte{[]byte("a\"b\\c/\b\f\n\r\t"), []byte("é😀\ufffdx\ufffd"), []byte("é")},
		history:   []byte(`{"a":[1]}`),
	}
	if diff := cmp.Diff(want, in, cmp.AllowUnexported(importRequest{})); diff != "" {
		t.Error(diff)
	}
}

// TestBodiesAreRefused by name, whatever they cost to make, and without what is in them.
func TestBodiesAreRefused(t *testing.T) {
	const secret = "pass-phrase"
	for words, body := range map[string]string{
		"body is not JSON":                          "{",
		"body is not a JSON object":                 `["a"]`,
		"keystores: is missing":                     `{"passwords":[]}`,
		"passwords: is missing":                     `{"keystores":[]}`,
		"keystores: want an array":                  `{"keystores":"pass-phrase","passwords":[]}`,
		"passwords: want an array":                  `{"keystores":[],"passwords":null}`,
		"keystores[1]: want a string that holds":    `{"keystores":["",{"crypto":{}}],"passwords":[]}`,
		"passwords[0]: want a string":               `{"keystores":[],"passwords":[["pass-phrase"]]}`,
		"passwords: there are 2, and 1 keystores":   `{"keystores":[""],"passwords":["pass-phrase","pass-phrase"]}`,
		"keystores: has more than 3":                `{"keystores":["","","",""],"passwords":[]}`,
		"passwords: has more than 3":                `{"keystores":[],"passwords":["pass-phrase","","",""]}`,
		`unknown field "slashingProtection"`:        `{"slashingProtection":"pass-phrase","keystores":[],"passwords":[]}`,
		`unknown field "Keystores"`:                 `{"Keystores":[],"passwords":[]}`,
		"passwords: is given twice":                 `{"keystores":[],"passwords":["pass-phrase"],"p\u0061sswords":[]}`,
		"slashing_protection: want a string that h": `{"keystores":[],"passwords":[],"slashing_protection":{"metadata":{}}}`,
	} {
		_, err := readImport([]byte(body), 3)
		if p := problem.Of(err); p.Kind != problem.Malformed || !strings.HasPrefix(p.Public, words) || strings.Contains(p.Public, secret) {
			t.Errorf("%s: %v, want %q", body, err, words)
		}
	}
	for words, body := range map[string]string{
		"pubkeys: is missing":               `{}`,
		"pubkeys: has more than 3":          `{"pubkeys":["","","",""]}`,
		"pubkeys[0]: want a public key":     `{"pubkeys":[1]}`,
		"pubkeys[0]: ":                      `{"pubkeys":["0x12"]}`,
		`unknown field "keystores", want [`: `{"keystores":[]}`,
		"body is not JSON":                  ``,
	} {
		_, err := readDelete([]byte(body), 3)
		if p := problem.Of(err); p.Kind != problem.Malformed || !strings.HasPrefix(p.Public, words) {
			t.Errorf("%s: %v, want %q", body, err, words)
		}
	}
}

// TestDecodingTakesNoMemory to speak of: all of it is in the body, which may have 32 MiB.
func TestDecodingTakesNoMemory(t *testing.T) {
	const size = 4 << 20
	long := strings.Repeat("x", size)
	for name, body := range map[string]string{
		"one long keystore":   `{"keystores":["` + long + `"],"passwords":[""]}`,
		"one long password":   `{"keystores":[""],"passwords":["` + long + `"]}`,
		"a long history":      `{"keystores":[],"passwords":[],"slashing_protection":"` + long + `"}`,
		"escapes":             `{"keystores":["` + strings.Repeat(`\u0000`, size/6) + `"],"passwords":[""]}`,
		"many strings":        `{"keystores":[` + strings.Repeat(`"",`, 200_000) + `""],"passwords":[]}`,
		"many fields":         `{` + strings.Repeat(`"keystores":[],`, 200_000) + `"passwords":[]}`,
		"a long name":         `{"` + long + `":[]}`,
		"nested":              `{"keystores":` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000) + `}`,
		"nested and cut":      strings.Repeat(`{"keystores":[`, 100_000),
		"nested within":       `{"keystores":` + strings.Repeat(`[`, 9_000) + strings.Repeat(`]`, 9_000) + `}`,
		"white space":         strings.Repeat(" ", size),
		"white space between": `{"keystores":[` + strings.Repeat(" ", size) + `],"passwords":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			text := []byte(body)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := readImport(text, 100)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 512<<10 {
				t.Errorf("%d bytes", took)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// FuzzReadImport: what is accepted says what encoding/json says, and what is refused says nothing.
func FuzzReadImport(f *testing.F) {
	for _, seed := range []string{
		`{"keystores":["{}"],"passwords":["a"]}`, `{"keystores":[],"passwords":[],"slashing_protection":null}`,
		` {"slashing_protection":"\ud83d\ude00\ud800\n" ,"keystores":[ "\"" , "\\" ],"passwords":["",""] } `, `{"keystores":[{"a":["]"]}]}`, `[]`, `{"a":1e5,"b":true}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := readImport(bytes.Clone(body), 4)
		if err != nil {
			if p := problem.Of(err); p.Kind != problem.Malformed {
				t.Fatal(err)
			}
			return
		}
		if !utf8.Valid(body) { // which is no JSON; encoding/json replaces what is wrong, and we keep it
			return
		}
		var want decoded
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("%q is accepted: %v", body, err)
		}
		got := decoded{Keystores: texted(in.keystores), Passwords: texted(in.passwords), SlashingProtection: want.SlashingProtection}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", body, diff)
		}
		if history := want.SlashingProtection; history == nil && in.history != nil || history != nil && string(in.history) != *history {
			t.Errorf("%q: history %q", body, in.history)
		}
	})
}

func texted(all [][]byte) []string {
	out := []string{}
	for _, b := range all {
		out = append(out, string(b))
	}
	return out
}
