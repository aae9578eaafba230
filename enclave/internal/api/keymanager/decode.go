package keymanager

import (
	"bytes"
	"encoding/json"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// importRequest is the body of an import, decoded in place: all are parts of the body, which may hold 32 MiB.
type importRequest struct {
	keystores, passwords [][]byte
	history              []byte // an EIP-3076 file; empty if there is none
}

// readImport reads the body of an import, in which it overwrites the strings. Its errors repeat no value: it may be a password. A list of more
// than most elements is refused.
func readImport(body []byte, most int) (in importRequest, err error) {
	given, err := members(body, "keystores", "passwords", "slashing_protection")
	if err != nil {
		return in, err
	}
	if in.keystores, err = texts("keystores", given["keystores"], most, "a string that holds an EIP-2335 keystore"); err != nil {
		return in, err
	}
	if in.passwords, err = texts("passwords", given["passwords"], most, "a string"); err != nil {
		return in, err
	}
	if len(in.keystores) != len(in.passwords) {
		return in, problem.New(problem.Malformed, "passwords: there are %d, and %d keystores", len(in.passwords), len(in.keystores))
	}
	switch raw := given["slashing_protection"]; {
	case raw == nil || string(raw) == "null":
	case raw[0] != '"':
		return in, problem.New(problem.Malformed, "slashing_protection: want a string that holds an EIP-3076 file")
	default:
		in.history = unquote(raw)
	}
	return in, nil
}

// readDelete reads the body of a deletion.
func readDelete(body []byte, most int) ([]bls.PublicKey, error) {
	given, err := members(body, "pubkeys")
	if err != nil {
		return nil, err
	}
	list, err := texts("pubkeys", given["pubkeys"], most, "a public key, a string")
	if err != nil {
		return nil, err
	}
	keys := make([]bls.PublicKey, len(list))
	for n, text := range list {
		if keys[n], err = bls.ParsePublicKey(string(text)); err != nil {
			return nil, problem.New(problem.Malformed, "pubkeys[%d]: %v", n, err)
		}
	}
	return keys, nil
}

// members takes an object apart that has no other fields than those known, each at most once. One that is misspelt must not be passed over: it
// may be the slashing protection.
func members(body []byte, known ...string) (map[string][]byte, error) {
	if !json.Valid(body) {
		return nil, problem.New(problem.Malformed, "body is not JSON")
	}
	c := cursor{body}
	if c.next() != '{' {
		return nil, problem.New(problem.Malformed, "body is not a JSON object")
	}
	given := map[string][]byte{}
	c.step()
	for c.next() != '}' {
		name := unquote(c.value())
		c.next()
		c.step() // over the colon
		value := c.value()
		if !contains(known, name) {
			return nil, problem.New(problem.Malformed, "unknown field %q, want %v", shorten(name), known)
		}
		if _, twice := given[string(name)]; twice {
			return nil, problem.New(problem.Malformed, "%s: is given twice", name)
		}
		given[string(name)] = value
		if c.next() == ',' {
			c.step()
		}
	}
	return given, nil
}

func contains(known []string, name []byte) bool {
	for _, k := range known {
		if k == string(name) {
			return true
		}
	}
	return false
}

// shorten keeps an error readable whatever the body holds.
func shorten(text []byte) []byte { return text[:min(len(text), 40)] }

// texts takes a list of strings apart.
func texts(field string, raw []byte, most int, want string) ([][]byte, error) {
	switch {
	case raw == nil:
		return nil, problem.New(problem.Malformed, "%s: is missing", field)
	case raw[0] != '[':
		return nil, problem.New(problem.Malformed, "%s: want an array", field)
	}
	c := cursor{raw}
	c.step()
	var list [][]byte
	for c.next() != ']' {
		if len(list) == most {
			return nil, problem.New(problem.Malformed, "%s: has more than %d, the most of a request (http.key_manager_api.max_items_per_request)", field, most)
		}
		value := c.value()
		if value[0] != '"' {
			return nil, problem.New(problem.Malformed, "%s[%d]: want %s", field, len(list), want)
		}
		list = append(list, unquote(value))
		if c.next() == ',' {
			c.step()
		}
	}
	return list, nil
}

// cursor walks over JSON that is known to be valid.
type cursor struct{ rest []byte }

// next skips white space, and returns the byte that follows.
func (c *cursor) next() byte {
	c.rest = bytes.TrimLeft(c.rest, " \t\r\n")
	return c.rest[0]
}

func (c *cursor) step() { c.rest = c.rest[1:] }

// value takes one value.
func (c *cursor) value() []byte {
	c.next()
	n, depth := 0, 0
	for ; n < len(c.rest); n++ {
		switch c.rest[n] {
		case '"':
			n += stringEnd(c.rest[n:])
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return c.take(n) // of what the value is in
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return c.take(n)
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return c.take(n + 1)
		}
	}
	return c.take(n)
}

// stringEnd is where a string's last quote is.
func stringEnd(text []byte) int {
	for n := 1; ; n++ {
		switch text[n] {
		case '\\':
			n++
		case '"':
			return n
		}
	}
}

func (c *cursor) take(n int) []byte {
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}
