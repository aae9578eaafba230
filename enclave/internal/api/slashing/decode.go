package slashing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
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

// fields are what reads the fields of an object, by their names.
type fields map[string]func(json.RawMessage) error

// decode reads the request's body, an object. No body is an empty one.
func decode(r *http.Request, known fields) error {
	body, err := api.ReadBody(r)
	if err != nil || len(body) == 0 {
		return err
	}
	if !json.Valid(body) {
		return problem.New(problem.Malformed, "body is not JSON")
	}
	if err := known.read(json.NewDecoder(bytes.NewReader(body))); err != nil {
		return problem.New(problem.Malformed, "%s", err)
	}
	return nil
}

// read reads an object that is valid JSON.
func (f fields) read(d *json.Decoder) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("body is not a JSON object")
	}
	seen := make(map[string]bool)
	for d.More() {
		var raw json.RawMessage
		t, err := d.Token()
		if err == nil {
			err = d.Decode(&raw)
		}
		if err != nil {
			return fmt.Errorf("body: %w", err)
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
		if err := read(raw); err != nil {
			return fmt.Errorf("%s%w", name, err)
		}
	}
	return nil
}

// height reads a slot or an epoch: decimal digits in a string, as in the eth2 API.
func height(to **uint64) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		var text string
		if raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
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
func list(to *[]bls.PublicKey) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		var elements []json.RawMessage
		if raw[0] != '[' || json.Unmarshal(raw, &elements) != nil {
			return errors.New(": want an array of public keys")
		}
		if len(elements) == 0 {
			return errors.New(": is empty")
		}
		keys, seen := make([]bls.PublicKey, len(elements)), make(map[bls.PublicKey]bool, len(elements))
		for i, element := range elements {
			var text string
			if element[0] != '"' || json.Unmarshal(element, &text) != nil {
				return fmt.Errorf("[%d]: want a public key in a string", i)
			}
			key, err := bls.ParsePublicKey(text)
			switch {
			case err != nil:
				return fmt.Errorf("[%d]: %w", i, err)
			case seen[key]:
				return fmt.Errorf("[%d]: is given twice", i)
			}
			keys[i], seen[key] = key, true
		}
		*to = keys
		return nil
	}
}

// upload is a file that comes over the wire. Its errors are problems.
type upload struct{ body io.Reader }

func (u upload) Read(b []byte) (int, error) {
	n, err := u.body.Read(b)
	switch large, ok := errors.AsType[*http.MaxBytesError](err); {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case ok:
		err = problem.New(problem.TooLarge, "the file is larger than %d bytes; nothing was imported", large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = problem.Wrap(problem.Malformed, err, "the file came too slowly; nothing was imported")
	case errors.As(err, new(*problem.Error)):
	default:
		err = problem.Wrap(problem.Malformed, err, "the file broke off on its way; nothing was imported")
	}
	return n, err
}
