package policyfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// digits is a register that begins with two digits.
func digits(first string) string { return first + strings.Repeat("0", 96-len(first)) }

// full is a policy with every field.
var full = `# rolled out on Monday
sets:
  - label: "blue & green"
    pcrs:
      PCR0: ` + digits("01") + ` # nothing but decimal digits, and not quoted
      PCR2: ` + digits("1e") + `
      PCR3: '` + digits("00") + `'
      PCR16: "` + digits("AB") + `"
    expires: 2027-01-01T00:00:00Z
    min_build: 0.1.0
  - {pcrs: {PCR8: ` + digits("08") + `}, min_build: v2.0.0-rc.1}
allow_any_signed_build: True
proof: per-connection
max_age_seconds: 7200
config_digest: ` + digits("09") + `
`

func fullPolicy() attestation.Policy {
	return attestation.Policy{
		Sets: []attestation.Set{
			{
				Label: "blue & green", PCRs: attestation.Measurements{0: {1}, 2: {0x1e}, 3: {}, 16: {0xab}},
				Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), MinBuild: "0.1.0",
			},
			{PCRs: attestation.Measurements{8: {8}}, MinBuild: "v2.0.0-rc.1"},
		},
		AllowAnySignedBuild: true, Proof: attestation.ProofPerConnection, MaxAge: 2 * time.Hour, ConfigDigest: &[48]byte{9},
	}
}

func TestParse(t *testing.T) {
	got, err := policyfile.Parse("p.yaml", []byte(full))
	if diff := cmp.Diff(fullPolicy(), got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	text, err := fullPolicy().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err = policyfile.Parse("p.json", append([]byte("\n "), text...))
	if diff := cmp.Diff(fullPolicy(), got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestFormatIsRead(t *testing.T) {
	for name, p := range map[string]attestation.Policy{
		"every field": fullPolicy(),
		"the least":   {Sets: []attestation.Set{{PCRs: attestation.Measurements{0: {1}}}}},
		"hostile label": {Sets: []attestation.Set{
			{Label: "\": {x: &a *a} # \\ \u00fc\u2713", PCRs: attestation.Measurements{0: {1}, 8: {}}},
		}},
	} {
		text, err := policyfile.Format(p, "made by hand\nand: not a key")
		if err != nil {
			t.Fatal(err)
		}
		got, err := policyfile.Parse("p.yaml", text)
		if diff := cmp.Diff(p, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s\n%s", name, err, diff, text)
		}
		if !strings.HasPrefix(string(text), "# made by hand\n# and: not a key\nsets:\n  - ") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if text, err := policyfile.Format(attestation.Policy{}, ""); text != nil || !errors.Is(err, attestation.ErrEmptyPolicy) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestParseRefuses(t *testing.T) {
	zero := "sets:\n- pcrs: {PCR0: " + digits("01") + "}\n"
	two := zero + "- label: b\n  pcrs: {PCR0: " + digits("02") + "}\n"
	for name, test := range map[string]struct{ text, want string }{
		"empty":                {"", "p: empty"},
		"spaces":               {" \n", "p: empty"},
		"comments":             {"# sets\n", "p: nothing but comments"},
		"too large":            {strings.Repeat("#", 1<<20+1), "p: larger than 1048576 bytes"},
		"not UTF-8":            {"sets: \xff", "p: not valid UTF-8"},
		"malformed":            {"sets: [\n", "p:1: malformed YAML: "},
		"malformed first line": {"\tsets: 1\n", "p:1: malformed YAML: "},
		"two documents":        {zero + "---\nsets: []\n", "p:3: a second document begins here"},
		"garbage behind":       {zero + "...\n}", "p:3: malformed YAML"},
		"a text":               {"sets", "p:1: policy, is of type string, want object"},
		"a list":               {"- sets", "p:1: policy, is of type array, want object"},
		"no sets":              {"proof: certificate\n", "p:1: policy allows no measurements"},
		"empty sets":           {"proof: certificate\nsets: []\n", "p:1: policy allows no measurements"},
		"sets as mapping":      {"proof: certificate\nsets: {}\n", "p:2: policy, sets: is of type object, want array"},
		"no value":             {zero + "proof:\n", "p:3: no value"},
		"null":                 {zero + "proof: ~\n", "p:3: no value"},
		"duplicate":            {zero + "proof: certificate\nproof: certificate\n", `p:4: "proof" is set twice, first in line 3`},
		"duplicate register":   {"sets:\n- pcrs:\n    PCR0: a\n    PCR1: b\n    \"PCR0\": c\n", `p:5: "PCR0" is set twice, first in line 3`},
		"duplicate sets":       {zero + "sets: []\n", `p:3: "sets" is set twice, first in line 1`},
		"anchor":               {"sets:\n- &a\n  pcrs: {}\n", "p:2: anchor &a: anchors are not accepted"},
		"alias":                {"proof: &p certificate\nsets: *p\n", "p:1: anchor &p: anchors are not accepted"},
		"alias alone":          {"x: *p\n", "malformed YAML: unknown anchor 'p' referenced"},
		"anchored name":        {"&a sets: []\n", "p:1: a name must be plain text"},
		"merge":                {zero + "<<: {proof: certificate}\n", "p:3: a name must be plain text"},
		"complex name":         {"? [a]\n: b\n", "p:1: a name must be plain text"},
		"tag":                  {zero + "proof: !!binary Y2VydA==\n", "p:3: tag !!binary: tags are not accepted"},
		"own tag":              {zero + "proof: !x certificate\n", "p:3: tag !x: tags are not accepted"},
		"hexadecimal number":   {zero + "max_age_seconds: 0x10\n", "p:3: 0x10 is not a plain decimal number; if it is text, put it into quotes"},
		"underscores":          {zero + "max_age_seconds: 1_000\n", "p:3: 1_000 is not a plain decimal number"},
		"octal":                {zero + "max_age_seconds: 0100\n", "p:3: 0100 is not a plain decimal number"},
		"infinity":             {zero + "max_age_seconds: .inf\n", "p:3: .inf is not a plain decimal number"},
		"exponent":             {zero + "max_age_seconds: 1e3\n", "p:3: 1e3 is not a plain decimal number"},
		"fraction":             {zero + "max_age_seconds: 1.5\n", "p:3: policy, max_age_seconds: 1.5, want a whole number"},
		"version as number":    {"sets:\n- min_build: 1.2\n  pcrs: {PCR0: " + digits("01") + "}\n", "p:2: policy, set 0: min_build: is of type number, want string"},
		"unknown field":        {two + "colour: 1\n", `p:5: policy, unknown field "colour"`},
		"unknown in set":       {two + "- pcrs: {PCR0: " + digits("03") + "}\n  x: 1\n", `p:5: policy, set 2: unknown field "x"`},
		"short register":       {two + "- pcrs: {PCR0: ab}\n", "p:5: policy, set 2: pcrs: PCR0: "},
		"number as register":   {"sets:\n- pcrs: {PCR0: 12}\n", "p:2: policy, set 0: pcrs: PCR0: is of type number, want string"},
		"label twice":          {two + "- label: b\n  pcrs: {PCR0: " + digits("03") + "}\n", `p:5: policy, set 2 "b": an earlier set has the same label`},
		"a switch as text":     {two + "allow_any_signed_build: yes\n", "p:5: policy, allow_any_signed_build: is of type string, want boolean"},
		"day":                  {zero + "  expires: 2027-01-01\n", `p:2: policy, set 0: expires: "2027-01-01" is no time`},
		"field, then set":      {"sets:\n- pcrs: {PCR0: ab}\nproof: maybe\n", "p:3: policy, proof: "},
		"deep":                 {"sets: " + strings.Repeat("[", 20) + strings.Repeat("]", 20), "p:1: nested too deeply"},
		"JSON cut off":         {"{\n\"sets\": [\n", "p:3: malformed JSON: unexpected end of JSON input"},
		"JSON syntax":          {"{\n\"sets\": x}", "p:2: malformed JSON: invalid character 'x'"},
		"JSON duplicate":       {`{"proof":"certificate","proof":"certificate"}`, `p: policy, field "proof" stands there twice`},
		"YAML in braces":       {"{sets: []}", "p:1: malformed JSON: invalid character 's'"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := policyfile.Parse("p", []byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "p:") {
				t.Errorf("%v, want %q", err, test.want)
			}
			if diff := cmp.Diff(attestation.Policy{}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestErrorsAreFoundFast even in a file of many sets.
func TestErrorsAreFoundFast(t *testing.T) {
	var text strings.Builder
	text.WriteString("sets:\n")
	for range 4000 {
		text.WriteString("- pcrs: {PCR0: " + digits("01") + "}\n")
	}
	text.WriteString("- pcrs: {PCR0: x}\n")
	if _, err := policyfile.Parse("p", []byte(text.String())); err == nil || !strings.HasPrefix(err.Error(), "p:4002: policy, set 4000: pcrs: PCR0: ") {
		t.Error(err)
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if _, err := policyfile.Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := policyfile.Read(path); err != nil || !cmp.Equal(got, fullPolicy()) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := policyfile.Read(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("#"+strings.Repeat(" ", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := policyfile.Read(path); err == nil || !strings.HasSuffix(err.Error(), "policy.yaml: larger than 1048576 bytes") {
		t.Error(err)
	}
}

// FuzzParse: what is accepted is a valid policy, and means the same in either form.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{full, "sets: [{pcrs: {PCR0: " + digits("01") + "}}]", `{"sets":[]}`, "sets: &a [*a]", "? a\n: b", "--- !x 1\n...\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := policyfile.Parse("p", text)
		if err != nil {
			if !cmp.Equal(p, attestation.Policy{}) {
				t.Errorf("error %v with %+v", err, p)
			}
			return
		}
		again, err := p.Marshal()
		if err != nil {
			t.Fatalf("accepted %q: %v", text, err)
		}
		formatted, err := policyfile.Format(p, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range [][]byte{again, formatted} {
			q, err := policyfile.Parse("q", form)
			if q.Proof = p.Proof; err != nil || !cmp.Equal(p, q) {
				t.Errorf("accepted %q, wrote %s: %v", text, form, err)
			}
		}
	})
}
