package attestation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// checkJSON refuses what is not one value of JSON in UTF-8. Package json would replace what is not UTF-8.
func checkJSON(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	var all json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return fmt.Errorf("byte %d: %w", syntax.Offset, err)
		}
		return err
	}
	return nil
}

// eachField calls read for each field of an object, in the order of the text. A name that comes twice is an error, where package json
// would take the last; names are compared exactly, where package json ignores case.
func eachField(object json.RawMessage, read func(name string, value json.RawMessage) error) error {
	if kind := kindOf(object); kind != "object" {
		return mistyped(kind, "object")
	}
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil { // the brace
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return fmt.Errorf("%v is no name", token)
		}
		if seen[name] {
			return fmt.Errorf("field %.40q stands there twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := read(name, value); err != nil {
			return err
		}
	}
	return nil
}

// inField adds a field's name to an error.
func inField(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// kindOf names the type of a value by its first byte.
func kindOf(value json.RawMessage) string {
	trimmed := bytes.TrimLeft(value, " \t\r\n")
	if len(trimmed) == 0 {
		return "nothing"
	}
	switch trimmed[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

func mistyped(kind, want string) error { return fmt.Errorf("is of type %s, want %s", kind, want) }

// decodeAs reads a value that must be of this kind.
func decodeAs[T any](value json.RawMessage, want string) (out T, err error) {
	if kind := kindOf(value); kind != want {
		return out, mistyped(kind, want)
	}
	err = json.Unmarshal(value, &out)
	return out, err
}

func readString(value json.RawMessage) (string, error) { return decodeAs[string](value, "string") }

func readBool(value json.RawMessage) (bool, error) { return decodeAs[bool](value, "boolean") }

func readArray(value json.RawMessage) ([]json.RawMessage, error) {
	return decodeAs[[]json.RawMessage](value, "array")
}

// maxSeconds keeps an age in seconds far from overflow; documents end after hours.
const maxSeconds = 365 * 24 * 60 * 60

func readSeconds(value json.RawMessage) (time.Duration, error) {
	number, err := decodeAs[json.Number](value, "number")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(number.String(), 10, 32)
	if err != nil || n == 0 || n > maxSeconds {
		return 0, fmt.Errorf("%.40s, want a whole number from 1 to %d", number, maxSeconds)
	}
	return time.Duration(n) * time.Second, nil
}
