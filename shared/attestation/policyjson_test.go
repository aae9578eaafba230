package attestation_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// hexOf is the register that begins with a byte, in JSON.
func hexOf(b byte) string { return fmt.Sprintf(`"%02x%s"`, b, strings.Repeat("00", 47)) }

// full is a policy with every field, in its canonical form.
var full = `{
  "sets": [
    {
      "label": "blue & green",
      "pcrs": {
        "PCR0": ` + hexOf(1) + `,
        "PCR2": ` + hexOf(2) + `,
        "PCR3": ` + hexOf(0) + `,
        "PCR16": ` + hexOf(0xab) + `
      },
      "expires": "2027-01-01T00:00:00Z",
      "min_build": "0.1.0"
    },
    {
      "pcrs": {
        "PCR8": ` + hexOf(8) + `
      },
      "min_build": "v2.0.0-rc.1"
    }
  ],
  "allow_any_signed_build": true,
  "proof": "per-connection",
  "max_age_seconds": 7200,
  "config_digest": ` + hexOf(9) + `
}
`

func fullPolicy() attestation.Policy {
	return attestation.Policy{
		Sets: []set{
			{
				Label: "blue & green", PCRs: measurements{0: {1}, 2: {2}, 3: {}, 16: {0xab}},
				Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), MinBuild: "0.1.0",
			},
			{PCRs: measurements{8: {8}}, MinBuild: "v2.0.0-rc.1"},
		},
		AllowAnySignedBuild: true, Proof: attestation.ProofPerConnection, MaxAge: 2 * time.Hour, ConfigDigest: &[48]byte{9},
	}
}

func TestPolicyJSON(t *testing.T) {
	got, err := attestation.ParsePolicy([]byte(full))
	if diff := cmp.Diff(fullPolicy(), got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	text, err := fullPolicy().Marshal()
	if diff := cmp.Diff(full, string(text)); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// Another order, upper case and another time zone mean the same.
func TestPolicyJSONOtherForms(t *testing.T) {
	want := attestation.Policy{
		Sets: []set{{PCRs: measurements{0: {0xab}, 1: {2}}, Expires: time.Date(2027, 1, 1, 0, 0, 0, 5e8, time.UTC)}}, Proof: attestation.ProofCertificate,
	}
	in := `{"proof":"certificate","allow_any_signed_build":false,
		"sets":[{"expires":"2027-01-01T02:00:00.5+02:00","pcrs":{"PCR1":` + hexOf(2) + `,"PCR0":` + strings.ToUpper(hexOf(0xab)) + `}}]}`
	got, err := attestation.ParsePolicy([]byte(in))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	text, err := got.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := attestation.ParsePolicy(text); err != nil || !cmp.Equal(got, again) || !bytes.Contains(text, []byte(`"2027-01-01T00:00:00.5Z"`)) {
		t.Errorf("read %s as %+v, %v", text, again, err)
	}
	least, err := one(measurements{0: {1}}).Marshal()
	if want := "{\n  \"sets\": [\n    {\n      \"pcrs\": {\n        \"PCR0\": " + hexOf(1) + "\n      }\n    }\n  ],\n  \"proof\": \"certificate\"\n}\n"; err != nil || string(least) != want {
		t.Errorf("got %s, %v, want %s", least, err, want)
	}
}

func TestPolicyMarshalRefuses(t *testing.T) {
	text, err := (attestation.Policy{}).Marshal()
	if !errors.Is(err, attestation.ErrEmptyPolicy) || text != nil {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	pcrs := `"pcrs":{"PCR0":` + hexOf(1) + `}`
	good := `{"sets":[{` + pcrs + `}]`
	inSet := func(fields string) string { return `{"sets":[{` + pcrs + `},{"label":"b",` + fields + `}]}` }
	inRegisters := func(fields string) string { return inSet(`"pcrs":{` + fields + `}`) }
	for name, test := range map[string]struct{ in, words string }{
		"empty":                {"", "policy, byte 0: unexpected end of JSON input"},
		"syntax":               {good, "unexpected end"},
		"trailing":             {good + `} x`, "invalid character 'x' after top-level value"},
		"two values":           {good + `}{}`, "after top-level value"},
		"not UTF-8":            {"{\"\xff\":1}", "policy, not UTF-8"},
		"byte order mark":      {"\ufeff" + good + "}", "invalid character"},
		"comment":              {good + "} // x", "invalid character '/'"},
		"too large":            {strings.Repeat(" ", 1<<20) + "{", "1048577 bytes, at most 1048576"},
		"array":                {`[]`, "policy, is of type array, want object"},
		"null":                 {`null`, "is of type null, want object"},
		"no sets":              {`{}`, "policy allows no measurements"},
		"zero sets":            {`{"sets":[]}`, "policy allows no measurements"},
		"sets null":            {`{"sets":null}`, "policy, sets: is of type null, want array"},
		"sets as object":       {`{"sets":{}}`, "sets: is of type object, want array"},
		"set as string":        {`{"sets":["x"]}`, "set 0: is of type string, want object"},
		"unknown field":        {good + `,"colour":1}`, `unknown field "colour"`},
		"other case":           {`{"Sets":[]}`, `unknown field "Sets"`},
		"duplicate field":      {good + `,"proof":"certificate","proof":"per-connection"}`, `field "proof" stands there twice`},
		"duplicate by escape":  {good + `,"proof":"certificate","pro\u006ff":"certificate"}`, `field "proof" stands there twice`},
		"duplicate in set":     {inSet(`"min_build":"1.0.0","min_build":"1.0.0",` + pcrs), `set 1 "b": field "min_build" stands there twice`},
		"duplicate register":   {inRegisters(`"PCR0":` + hexOf(1) + `,"PCR0":` + hexOf(1)), `set 1 "b": pcrs: field "PCR0" stands there twice`},
		"unknown in set":       {inSet(`"comment":"x",` + pcrs), `set 1 "b": unknown field "comment"`},
		"no registers":         {inSet(`"min_build":"1.0.0"`), `set 1 "b": pcrs: missing`},
		"registers as array":   {inSet(`"pcrs":[]`), `set 1 "b": pcrs: is of type array, want object`},
		"expires as number":    {inSet(pcrs + `,"expires":1`), `set 1 "b": expires: is of type number, want string`},
		"label null":           {`{"sets":[{"label":null,` + pcrs + `}]}`, "set 0: label: is of type null, want string"},
		"label too long":       {`{"sets":[{"label":"` + strings.Repeat("x", 65) + `",` + pcrs + `}]}`, "label: want at most 64"},
		"build empty":          {inSet(pcrs + `,"min_build":""`), `set 1 "b": min_build: empty`},
		"build as number":      {inSet(pcrs + `,"min_build":1.2`), `set 1 "b": min_build: is of type number, want string`},
		"build 1.2":            {inSet(pcrs + `,"min_build":"1.2"`), `set 1 "b": min_build: "1.2" is not a semantic version`},
		"expires on a day":     {inSet(pcrs + `,"expires":"2027-01-01"`), `expires: "2027-01-01" is no time such as`},
		"expires never":        {inSet(pcrs + `,"expires":"0001-01-01T00:00:00Z"`), "expires: year 1, want 2000 to 9999"},
		"expires in 1999":      {inSet(pcrs + `,"expires":"1999-01-01T00:00:00Z"`), "expires: year 1999"},
		"register number":      {inRegisters(`"0":` + hexOf(1)), `set 1 "b": pcrs: unknown field "0", want PCR0`},
		"register in lower":    {inRegisters(`"pcr0":` + hexOf(1)), `unknown field "pcr0"`},
		"register 00":          {inRegisters(`"PCR00":` + hexOf(1)), `unknown field "PCR00"`},
		"register +0":          {inRegisters(`"PCR+0":` + hexOf(1)), `unknown field "PCR+0"`},
		"register 4":           {inRegisters(`"PCR0":` + hexOf(1) + `,"PCR4":` + hexOf(1)), `set 1 "b": PCR4 cannot be named`},
		"short digits":         {inRegisters(`"PCR0":"01"`), `set 1 "b": pcrs: PCR0: register value has 2 characters, want 96 hexadecimal digits`},
		"no digits":            {inRegisters(`"PCR0":"` + strings.Repeat("0g", 48) + `"`), `PCR0: register value: encoding/hex: invalid byte: U+0067 'g'`},
		"digits as number":     {inRegisters(`"PCR0":` + strings.Repeat("1", 96)), `pcrs: PCR0: is of type number, want string`},
		"zero register":        {inRegisters(`"PCR0":` + hexOf(0)), `set 1 "b": PCR0 is zero, which only an enclave in debug mode has`},
		"any as string":        {good + `,"allow_any_signed_build":"true"}`, "allow_any_signed_build: is of type string, want boolean"},
		"proof as boolean":     {good + `,"proof":true}`, "proof: is of type boolean, want string"},
		"proof empty":          {good + `,"proof":""}`, "proof: empty"},
		"proof unknown":        {good + `,"proof":"none"}`, `proof: "none", want`},
		"age as string":        {good + `,"max_age_seconds":"60"}`, "max_age_seconds: is of type string, want number"},
		"age zero":             {good + `,"max_age_seconds":0}`, "max_age_seconds: 0, want a whole number from 1 to 31536000"},
		"age negative":         {good + `,"max_age_seconds":-1}`, "max_age_seconds: -1, want"},
		"age with fraction":    {good + `,"max_age_seconds":1.0}`, "max_age_seconds: 1.0, want"},
		"age with exponent":    {good + `,"max_age_seconds":1e3}`, "max_age_seconds: 1e3, want"},
		"age too large":        {good + `,"max_age_seconds":31536001}`, "max_age_seconds: 31536001, want"},
		"age huge":             {good + `,"max_age_seconds":99999999999999999999}`, "max_age_seconds: 9999"},
		"digest short":         {good + `,"config_digest":"00"}`, "config_digest: register value has 2 characters"},
		"digest null":          {good + `,"config_digest":null}`, "config_digest: is of type null, want string"},
		"two sets, same label": {`{"sets":[{"label":"a",` + pcrs + `},{"label":"a",` + pcrs + `}]}`, `set 1 "a": an earlier set has the same label`},
		"deep":                 {`{"sets":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, "exceeded max depth"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := attestation.ParsePolicy([]byte(test.in))
			if err == nil || !strings.Contains(err.Error(), test.words) || len(p.Sets) != 0 || len(err.Error()) > 400 {
				t.Errorf("got %+v, %v, want %q", p, err, test.words)
			}
		})
	}
}

// FuzzParsePolicy: what is accepted is valid, and has one canonical form that means the same.
func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{"sets":[{"pcrs":{"PCR0":` + hexOf(1) + `},"expires":"2027-01-01T02:00:00.5+02:00"}]}`))
	f.Add([]byte(`{"sets":[{"label":"\u00e9","pcrs":{}}],"sets":[],"max_age_seconds":1e3}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := attestation.ParsePolicy(in)
		if err != nil {
			if !cmp.Equal(p, attestation.Policy{}) {
				t.Errorf("error %v with %+v", err, p)
			}
			return
		}
		text, err := p.Marshal()
		if err != nil {
			t.Fatalf("%+v was read, but: %v", p, err)
		}
		again, err := attestation.ParsePolicy(text)
		if err != nil {
			t.Fatalf("%s was written, but: %v", text, err)
		}
		if p.Proof == "" {
			p.Proof = attestation.ProofCertificate
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Errorf("%s", diff)
		}
		if once, err := again.Marshal(); err != nil || !bytes.Equal(once, text) {
			t.Errorf("%v: %s and %s", err, text, once)
		}
	})
}
