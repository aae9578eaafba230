package slashing

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

// What is asked here cannot be undone, so that a request that has anything unknown in it, a misspelt dry_run or keys, is refused as a
// whole.

// maxShown is how much of a text of the caller's an error repeats, in bytes.
const maxShown = 64

func quote(text string) string { return strconv.QuoteToASCII(text[:min(len(text), maxShown)]) }

// none makes sure that the query says nothing.
func none(r *http.Request) error {
	_, err := query(r, "")
	return err
}

func dryRun(r *http.Request) (bool, error) {
	switch text, err := query(r, admin.ParameterDryRun); {
	case err != nil:
		return false, err
	case text == "true":
		return true, nil
	case text == "false", text == "":
		return false, nil
	}
	return false, problem.New(problem.Malformed, "%s: want true or false", admin.ParameterDryRun)
}

// query is the value of the one parameter that there may be.
func query(r *http.Request, name string) (string, error) {
	all, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", problem.New(problem.Malformed, "the parameters in the URL cannot be read")
	}
	for parameter, values := range all {
		switch {
		case parameter != name || name == "":
			return "", problem.New(problem.Malformed, "unknown parameter %s in the URL", quote(parameter))
		case len(values) > 1:
			return "", problem.New(problem.Malformed, "%s: is given twice", name)
		case values[0] == "":
			return "", problem.New(problem.Malformed, "%s: is empty", name)
		}
	}
	return all.Get(name), nil
}

// maxBody is the most bytes of a body that is no file: 100,000 keys have 10 MB.
const maxBody = 16 << 20

// errNotJSON is the fault of a body that cannot be read to its end.
var errNotJSON = errors.New("body is not JSON")

// fields are what reads the values of an object's fields, by their names: each reads one value of the decoder, to its end.
type fields map[string]func(*json.Decoder) error

// decode reads the request's body, an object. No body is an empty one. It stops at the first fault, and what it holds is bounded by what
// has come and was right.
func decode(w http.ResponseWriter, r *http.Request, known fields) error {
	body := bufio.NewReader(upload{body: http.MaxBytesReader(w, r.Body, maxBody), what: "body"})
	switch _, err := body.Peek(1); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	d := json.NewDecoder(body)
	d.UseNumber() // or a number too large for a float would be a fault of the JSON
	err := known.read(d)
	if err == nil {
		err = ended(d)
	}
	if _, said := errors.AsType[*problem.Error](err); err == nil || said {
		return err
	}
	return problem.New(problem.Malformed, "%s", err)
}

// next is the next token. Its errors are errNotJSON and those of the reader, problems.
func next(d *json.Decoder) (json.Token, error) {
	t, err := d.Token()
	if _, said := errors.AsType[*problem.Error](err); err != nil && !said {
		err = errNotJSON
	}
	return t, err
}

// ended makes sure that nothing follows.
func ended(d *json.Decoder) error {
	switch _, err := d.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, new(*problem.Error)):
		return err
	}
	return errNotJSON
}

// read reads an object.
func (f fields) read(d *json.Decoder) error {
	if t, err := next(d); err != nil {
		return err
	} else if t != json.Delim('{') {
		return errors.New("body is not a JSON object")
	}
	seen := make(map[string]bool)
	for d.More() {
		t, err := next(d)
		if err != nil {
			return err
		}
		name, _ := t.(string)
		read, known := f[name]
		switch {
		case !known:
			return fmt.Errorf("unknown field %s, want %s", quote(name), strings.Join(slices.Sorted(maps.Keys(f)), ", "))
		case seen[name]:
			return fmt.Errorf("%s: is given twice", name)
		}
		seen[name] = true
		if err := read(d); errors.Is(err, errNotJSON) {
			return err
		} else if err != nil {
			return fmt.Errorf("%s%w", name, err)
		}
	}
	_, err := next(d)
	return err
}

// height reads a slot or an epoch: decimal digits in a string, as in the eth2 API.
func height(to **uint64) func(*json.Decoder) error {
	return func(d *json.Decoder) error {
		t, err := next(d)
		if err != nil {
			return err
		}
		text, ok := t.(string)
		if !ok {
			return errors.New(": want decimal digits in a string")
		}
		n, err := strconv.ParseUint(text, 10, 64)
		switch {
		case errors.Is(err, strconv.ErrRange) || n > slashing.MaxHeight:
			return fmt.Errorf(": %s is above %d, the highest that can be recorded", quote(text), uint64(slashing.MaxHeight))
		case err != nil && strings.HasPrefix(text, "-"):
			return fmt.Errorf(": %s is negative", quote(text))
		case err != nil:
			return fmt.Errorf(": %s is not a whole decimal number", quote(text))
		}
		*to = &n
		return nil
	}
}

// list reads public keys, each of which may be there once. An empty list is refused: without the field it is all keys that are meant.
func list(to *[]bls.PublicKey) func(*json.Decoder) error {
	return func(d *json.Decoder) error {
		if t, err := next(d); err != nil {
			return err
		} else if t != json.Delim('[') {
			return errors.New(": want an array of public keys")
		}
		var keys []bls.PublicKey
		seen := make(map[bls.PublicKey]bool)
		for d.More() {
			key, err := element(d)
			switch {
			case errors.Is(err, errNotJSON):
				return err
			case err != nil:
				return fmt.Errorf("[%d]: %w", len(keys), err)
			case seen[key]:
				return fmt.Errorf("[%d]: is given twice", len(keys))
			}
			keys, seen[key] = append(keys, key), true
		}
		if _, err := next(d); err != nil {
			return err
		}
		if len(keys) == 0 {
			return errors.New(": is empty")
		}
		*to = keys
		return nil
	}
}

func element(d *json.Decoder) (bls.PublicKey, error) {
	t, err := next(d)
	if err != nil {
		return bls.PublicKey{}, err
	}
	text, ok := t.(string)
	if !ok {
		return bls.PublicKey{}, errors.New("want a public key in a string")
	}
	return bls.ParsePublicKey(text)
}
