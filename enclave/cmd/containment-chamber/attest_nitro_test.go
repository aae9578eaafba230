package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// nitroJSON is what nitro-cli prints, with further fields of the measurements and beside them.
func nitroJSON(inside, beside string) string {
	var registers []string
	for i, digit := range []string{"a", "b", "c"} {
		registers = append(registers, `"PCR`+string(rune('0'+i))+`": "`+strings.Repeat(digit, 96)+`"`)
	}
	return `{"EifVersion": 4, "Measurements": {"HashAlgorithm": "Sha384 { ... }", ` + strings.Join(registers, ", ") + inside + `}` + beside + `}`
}

// TestNitroCLIIsReadExactly: no second value of a name, in whatever case, takes the place of the first, and what nitro-cli found wrong is
// told.
func TestNitroCLIIsReadExactly(t *testing.T) {
	zeros := `"` + strings.Repeat("0", 95) + `1"`
	for name, test := range map[string]struct {
		text string
		want string // of the error; empty is none
	}{
		"good":                       {nitroJSON("", ""), ""},
		"signed":                     {nitroJSON(`, "PCR8": `+zeros, `, "IsSigned": true, "CheckCRC": true, "SignatureCheck": true`), ""},
		"checks without a result":    {nitroJSON("", `, "CheckCRC": null, "SignatureCheck": null`), ""},
		"in other letters as well":   {nitroJSON(`, "pcr0": `+zeros, `, "measurements": {"PCR0": `+zeros+`}, "checkcrc": false`), ""},
		"a register twice":           {nitroJSON(`, "PCR0": `+zeros, ""), `Measurements: field "PCR0" stands there twice`},
		"a register twice, escaped":  {nitroJSON(`, "PCR\u0030": `+zeros, ""), `Measurements: field "PCR0" stands there twice`},
		"measurements twice":         {nitroJSON("", `, "Measurements": {}`), `field "Measurements" stands there twice`},
		"a register in other cases":  {strings.Replace(nitroJSON("", ""), "PCR1", "pcr1", 1), "Measurements.PCR1: "},
		"measurements in lower case": {strings.Replace(nitroJSON("", ""), "Measurements", "measurements", 1), "no Measurements"},
		"damaged":                    {nitroJSON("", `, "CheckCRC": false`), "CheckCRC: false: the image is damaged"},
		"signature does not hold":    {nitroJSON("", `, "SignatureCheck": false`), "SignatureCheck: false: the image's signature does not hold"},
		"signature of another type":  {nitroJSON("", `, "SignatureCheck": "no"`), `SignatureCheck: "no", want true`},
		"a number":                   {nitroJSON(`, "PCR8": 1`, ""), "Measurements.PCR8: "},
		"null":                       {nitroJSON(`, "PCR8": null`, ""), "Measurements.PCR8: "},
		"empty":                      {nitroJSON(`, "PCR8": ""`, ""), "Measurements.PCR8: "},
		"measurements are a list":    {`{"Measurements": []}`, "Measurements: no object of JSON"},
		"a list":                     {`[]`, "not the JSON of nitro-cli alone: no object of JSON"},
		"text after it":              {nitroJSON("", "") + "{}", "not the JSON of nitro-cli alone: "},
	} {
		t.Run(name, func(t *testing.T) {
			pcrs, err := parseNitroCLI([]byte(test.text))
			switch {
			case test.want != "":
				if err == nil || !strings.Contains(err.Error(), test.want) || pcrs != nil {
					t.Errorf("%v, %v, want %q", pcrs, err, test.want)
				}
			case err != nil || pcrs[0].String() != strings.Repeat("a", 96):
				t.Errorf("%v, %v", pcrs, err)
			}
		})
	}
}

// FuzzNitroCLI: what is accepted says the same to a reader that knows nothing but JSON, and names the registers of an image.
func FuzzNitroCLI(f *testing.F) {
	f.Add([]byte(nitroJSON("", "")))
	f.Add([]byte(nitroJSON(`, "PCR8": "`+strings.Repeat("0", 96)+`"`, `, "CheckCRC": true, "SignatureCheck": true, "Metadata": {"a": [1, "x"]}`)))
	f.Add([]byte(nitroJSON(`, "PCR0": ""`, `, "SignatureCheck": false`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		pcrs, err := parseNitroCLI(text)
		if err != nil {
			if pcrs != nil {
				t.Errorf("%v beside %v", pcrs, err)
			}
			return
		}
		var fields map[string]json.RawMessage
		var registers map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(fields["Measurements"], &registers); err != nil {
			t.Fatal(err)
		}
		if string(fields["CheckCRC"]) == "false" || string(fields["SignatureCheck"]) == "false" {
			t.Error("accepted what nitro-cli found wrong")
		}
		for index, name := range map[int]string{0: "PCR0", 1: "PCR1", 2: "PCR2", 8: "PCR8"} {
			value, there := pcrs[index]
			said, stands := registers[name]
			if there != stands || index < 8 && !there {
				t.Fatalf("%s: read %v, stands there %v", name, there, stands)
			}
			if text, _ := said.(string); there && !strings.EqualFold(text, value.String()) {
				t.Errorf("%s: %v, stands there as %v", name, value, said)
			}
		}
	})
}
