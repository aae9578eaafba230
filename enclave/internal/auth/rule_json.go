package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// UnmarshalJSON implements json.Unmarshaler. A rule with a field that is misspelt, given twice or null would mean more than it says.
func (r *Rule) UnmarshalJSON(text []byte) error {
	var out Rule
	given := map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("a rule is an object")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string)
		to := map[string]any{"effect": &out.Effect, "scopes": &out.Scopes, "keys": &out.Keys, "operations": &out.Operations}[name]
		var value json.RawMessage
		switch err := d.Decode(&value); {
		case err != nil:
			return err
		case to == nil:
			return fmt.Errorf("unknown field %.40q, want effect, scopes, keys or operations", name)
		case given[name]:
			return fmt.Errorf("%s: is given twice", name)
		case string(value) == "null":
			return fmt.Errorf("%s: is null; left out it stands for all", name)
		}
		if err := json.Unmarshal(value, to); err != nil {
			return fmt.Errorf("%s: want %s", name, map[bool]string{true: "a string", false: "an array of strings"}[name == "effect"])
		}
		given[name] = true
	}
	*r = out
	return nil
}
