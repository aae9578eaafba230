package app

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// schemas check values against the part of JSON Schema that our description uses. A word that they do not know is an error, so
// that nothing in the description is promised unchecked.
type schemas struct{ named map[string]any }

// annotations say nothing about a value.
var annotations = []string{"description", "example", "examples", "deprecated"}

// check returns what is wrong with a value, nil if nothing is.
func (s schemas) check(schema map[string]any, value any, at string) error {
	for word, rule := range schema {
		if err := s.rule(schema, word, rule, value, at); err != nil {
			return err
		}
	}
	return nil
}

func (s schemas) rule(schema map[string]any, word string, rule, value any, at string) error {
	list, _ := value.([]any)
	fields, _ := value.(map[string]any)
	text, isText := value.(string)
	number, isNumber := value.(float64)
	switch word {
	case "$ref":
		name := strings.TrimPrefix(rule.(string), "#/components/schemas/")
		named, ok := s.named[name].(map[string]any)
		if !ok {
			return fmt.Errorf("%s: no schema %s", at, name)
		}
		return s.check(named, value, at)
	case "type":
		types, several := rule.([]any)
		if !several {
			types = []any{rule}
		}
		return wrong(slices.Contains(types, any(typeOf(value))) || rule == "number" && isNumber, at, "%v is no %v", value, rule)
	case "enum":
		return wrong(slices.ContainsFunc(rule.([]any), func(one any) bool { return reflect.DeepEqual(one, value) }), at, "%v is not one of %v", value, rule)
	case "pattern":
		return wrong(!isText || regexp.MustCompile(rule.(string)).MatchString(text), at, "%q does not match %v", text, rule)
	case "minimum":
		return wrong(!isNumber || number >= rule.(float64), at, "%v is less than %v", number, rule)
	case "minItems":
		return wrong(list == nil || float64(len(list)) >= rule.(float64), at, "%d items, want at least %v", len(list), rule)
	case "maxItems":
		return wrong(list == nil || float64(len(list)) <= rule.(float64), at, "%d items, want at most %v", len(list), rule)
	case "uniqueItems":
		for i, item := range list {
			if slices.ContainsFunc(list[:i], func(other any) bool { return reflect.DeepEqual(other, item) }) {
				return fmt.Errorf("%s[%d]: %v is there twice", at, i, item)
			}
		}
	case "items":
		for i, item := range list {
			if err := s.check(rule.(map[string]any), item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case "required":
		for _, name := range rule.([]any) {
			if _, ok := fields[name.(string)]; fields != nil && !ok {
				return fmt.Errorf("%s: %v is missing", at, name)
			}
		}
	case "properties":
		for name, property := range rule.(map[string]any) {
			if field, ok := fields[name]; ok {
				if err := s.check(property.(map[string]any), field, at+"."+name); err != nil {
					return err
				}
			}
		}
	case "additionalProperties":
		known, _ := schema["properties"].(map[string]any)
		for name := range fields {
			if _, ok := known[name]; ok {
				continue
			}
			others, ok := rule.(map[string]any)
			if !ok {
				return fmt.Errorf("%s: unexpected field %s", at, name)
			}
			if err := s.check(others, fields[name], at+"."+name); err != nil {
				return err
			}
		}
	case "oneOf":
		return s.one(rule.([]any), value, at)
	default:
		return wrong(slices.Contains(annotations, word), at, "this test does not know the word %s", word)
	}
	return nil
}

// one wants exactly one of several to hold.
func (s schemas) one(choices []any, value any, at string) error {
	var faults []string
	for _, choice := range choices {
		if err := s.check(choice.(map[string]any), value, at); err != nil {
			faults = append(faults, err.Error())
		}
	}
	return wrong(len(faults) == len(choices)-1, at, "%d of %d choices hold, want one:\n%s",
		len(choices)-len(faults), len(choices), strings.Join(faults, "\n"))
}

func wrong(right bool, at, format string, args ...any) error {
	if right {
		return nil
	}
	return fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...))
}

func typeOf(value any) string {
	switch v := value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	}
	return "null"
}

// decodeYAML reads YAML as JSON would be read.
func decodeYAML(t *testing.T, text string) map[string]any {
	t.Helper()
	var tree any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	return decodeJSON(t, encodeJSON(t, tree)).(map[string]any)
}

func encodeJSON(t *testing.T, value any) string {
	t.Helper()
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decodeJSON(t *testing.T, text string) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%q is not JSON: %v", text, err)
	}
	return value
}

// TestSchemasRefuse shows that the checker below every other test here can fail.
func TestSchemasRefuse(t *testing.T) {
	s := schemas{decodeYAML(t, `
Digits: {type: string, pattern: "^[0-9]+$"}
Thing: {type: object, required: [a], properties: {a: {$ref: "#/components/schemas/Digits"}, b: {type: integer, minimum: 1}}, additionalProperties: false}
Either: {oneOf: [{required: [a]}, {required: [b]}]}
List: {type: array, minItems: 1, maxItems: 2, uniqueItems: true, items: {enum: [x, 1, z]}}
Odd: {format: int64}
`)}
	for _, test := range []struct {
		schema, value string
		words         string // "" accepts
	}{
		{"Thing", `{"a":"12","b":3}`, ""},
		{"Thing", `{"a":"1x"}`, ".a: \"1x\" does not match"},
		{"Thing", `{"a":12}`, "is no string"},
		{"Thing", `{"b":1}`, "a is missing"},
		{"Thing", `{"a":"1","b":1.5}`, "1.5 is no integer"},
		{"Thing", `{"a":"1","b":0}`, "less than 1"},
		{"Thing", `{"a":"1","c":0}`, "unexpected field c"},
		{"Thing", `null`, "is no object"},
		{"Either", `{"a":1}`, ""},
		{"Either", `{}`, "0 of 2 choices hold"},
		{"Either", `{"a":1,"b":1}`, "2 of 2 choices hold"},
		{"List", `["x",1]`, ""},
		{"List", `["y"]`, "[0]: y is not one of"},
		{"List", `[]`, "at least 1"},
		{"List", `["x",1,"z"]`, "at most 2"},
		{"List", `["x","x"]`, "[1]: x is there twice"},
		{"Odd", `1`, "does not know the word format"},
		{"None", `1`, "no schema None"},
	} {
		err := s.check(map[string]any{"$ref": "#/components/schemas/" + test.schema}, decodeJSON(t, test.value), "")
		if (err == nil) != (test.words == "") || err != nil && !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s %s: %v, want %q", test.schema, test.value, err, test.words)
		}
	}
}
