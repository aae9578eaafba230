package chamber

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// maxBody is the most bytes of a body that is no backup: [chamber.MaxFrozen] keys have 10 MB.
const maxBody = 16 << 20

// maxShown is how much of a text of the caller's an error repeats, in bytes.
const maxShown = 64

func quote(text string) string { return strconv.QuoteToASCII(text[:min(len(text), maxShown)]) }

// field is where the value of a field goes, and what that is in words.
type field struct {
	to       any
	want     string
	required bool
}

// decode reads the request's body, an object with no other fields than these, each at most once; no body is an empty object. The URL has no
// parameters. Its errors name the field, and repeat no value: it may be a password.
func decode(r *http.Request, known map[string]field) error {
	if err := none(r); err != nil {
		return err
	}
	body, err := api.ReadBody(r)
	switch {
	case err != nil:
		return err
	case len(body) > maxBody:
		return problem.New(problem.TooLarge, "body is larger than %d bytes", maxBody)
	}
	defer clear(body)
	if err := read(body, known); err != nil {
		return problem.New(problem.Malformed, "%v", err)
	}
	return nil
}

func read(body []byte, known map[string]field) error {
	given := map[string]bool{}
	if len(body) > 0 {
		values, err := split(body)
		if err != nil {
			return err
		}
		for _, v := range values {
			f, ok := known[v.name]
			switch {
			case !ok && len(known) == 0:
				return fmt.Errorf("unknown field %s: there are none", quote(v.name))
			case !ok:
				return fmt.Errorf("unknown field %s, want %s", quote(v.name), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			case given[v.name]:
				return fmt.Errorf("%s: is given twice", v.name)
			case string(v.raw) == "null" || json.Unmarshal(v.raw, f.to) != nil:
				return fmt.Errorf("%s: want %s", v.name, f.want)
			}
			given[v.name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if known[name].required && !given[name] {
			return fmt.Errorf("%s: is missing", name)
		}
	}
	return nil
}

// filled is a string that is not empty: an empty one would be as good as left out, and ask for something else than it says.
type filled string

var errEmpty = errors.New("is empty")

// UnmarshalJSON implements json.Unmarshaler.
func (f *filled) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	if s == "" {
		return errEmpty
	}
	*f = filled(s)
	return nil
}

// list is strings of which none is null.
type list []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *list) UnmarshalJSON(text []byte) error {
	var all []*string
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	out := make(list, len(all))
	for i, s := range all {
		if s == nil {
			return fmt.Errorf("[%d] is null", i)
		}
		out[i] = *s
	}
	*l = out
	return nil
}

// member is a field of an object.
type member struct {
	name string
	raw  json.RawMessage
}

var errNotJSON = errors.New("body is not JSON")

// split takes an object apart. A field that is there twice is there twice.
func split(body []byte) (members []member, err error) {
	if !json.Valid(body) {
		return nil, errNotJSON
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("body is not a JSON object")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, errNotJSON
		}
		m := member{}
		m.name, _ = t.(string)
		if err := d.Decode(&m.raw); err != nil {
			return nil, errNotJSON
		}
		members = append(members, m)
	}
	return members, nil
}

// none makes sure that the URL has no parameters.
func none(r *http.Request) error {
	if r.URL.RawQuery != "" {
		return problem.New(problem.Malformed, "there are no parameters in the URL")
	}
	return nil
}

// confirmation is the one parameter of a restore, "" if it is not there.
func confirmation(r *http.Request) (string, error) {
	all, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", problem.New(problem.Malformed, "the parameters in the URL cannot be read")
	}
	for name, values := range all {
		switch {
		case name != ParameterConfirm:
			return "", problem.New(problem.Malformed, "unknown parameter %s in the URL", quote(name))
		case len(values) > 1:
			return "", problem.New(problem.Malformed, "%s: is given twice", name)
		case len(values[0]) != 64:
			return "", problem.New(problem.Malformed, "%s: want the SHA-256 of the file, 64 hexadecimal digits", name)
		}
	}
	return all.Get(ParameterConfirm), nil
}

// publicKeys reads the keys that a request names, each once; nil are all.
func publicKeys(texts *[]string) (keys [][48]byte, err error) {
	if texts == nil {
		return nil, nil
	}
	switch {
	case len(*texts) == 0:
		return nil, problem.New(problem.Malformed, "pubkeys: is empty; without the field all keys are meant")
	case len(*texts) > chamber.MaxFrozen:
		return nil, problem.New(problem.Malformed, "pubkeys: has %d keys, more than %d", len(*texts), chamber.MaxFrozen)
	}
	seen := make(map[bls.PublicKey]bool, len(*texts))
	for i, text := range *texts {
		key, err := bls.ParsePublicKey(text)
		switch {
		case err != nil:
			return nil, problem.New(problem.Malformed, "pubkeys[%d]: %v", i, err)
		case seen[key]:
			return nil, problem.New(problem.Malformed, "pubkeys[%d]: is given twice", i)
		}
		seen[key] = true
		keys = append(keys, key)
	}
	return keys, nil
}
