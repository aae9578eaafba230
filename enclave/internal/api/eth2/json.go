package eth2

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// The reader of request bodies. encoding/json checks the syntax and this file finds the fields, because
// encoding/json takes the last of two equal keys, matches keys in any case, and cannot name the field that is wrong.

// maxMembers is the most fields one object may have, so that finding equal keys stays cheap. The largest object
// read has six.
const maxMembers = 64

// maxShown is how much of a key that the caller chose an error repeats, in bytes.
const maxShown = 64

// document remembers the first thing that is wrong in a body. What was read is of no use unless err is nil.
type document struct{ err error }

// object is a JSON object within a document. Its methods read one field each; after an error, or if the object
// itself is absent, they return zero values.
type object struct {
	doc     *document
	parent  *object
	name    string // in parent
	members []member
}

// member is a field, its value raw and without surrounding space.
type member struct{ key, value []byte }

// parse returns the object that is the whole body.
func parse(body []byte) (*document, *object) {
	doc := &document{}
	root := &object{doc: doc}
	if !json.Valid(body) {
		doc.err = errors.New("body is not JSON")
		return doc, root
	}
	if body = bytes.TrimSpace(body); body[0] != '{' {
		doc.err = errors.New("body is not a JSON object")
		return doc, root
	}
	root.split(body)
	return doc, root
}

// fail records that the field name is wrong, unless something was wrong before.
func (o *object) fail(name, reason string) {
	if o.doc.err != nil {
		return
	}
	if o.parent != nil {
		name = o.path() + "." + name
	}
	o.doc.err = fmt.Errorf("%s: %s", name, reason)
}

// path is where in the document the object stands.
func (o *object) path() string {
	switch {
	case o.parent == nil:
		return "body"
	case o.parent.parent == nil:
		return o.name
	}
	return o.parent.path() + "." + o.name
}

// failSelf records that the object itself is wrong.
func (o *object) failSelf(reason string) {
	if o.doc.err == nil {
		o.doc.err = fmt.Errorf("%s: %s", o.path(), reason)
	}
}

// split finds the members of raw, a valid JSON object.
func (o *object) split(raw []byte) {
	o.members = make([]member, 0, 8)
	for i := nextToken(raw, 1); raw[i] != '}'; i = nextToken(raw, i) {
		if raw[i] == ',' {
			i = nextToken(raw, i+1)
		}
		end := skip(raw, i)
		key := raw[i+1 : end-1]
		i = nextToken(raw, nextToken(raw, end)+1) // past the colon
		end = skip(raw, i)
		if !o.add(member{key, raw[i:end]}) {
			return
		}
		i = end
	}
}

// add reports whether the member may stand in the object.
func (o *object) add(m member) bool {
	if bytes.IndexByte(m.key, '\\') >= 0 {
		// Two spellings of one key: another reader in the way might see another request.
		o.failSelf("has a key with an escape sequence")
		return false
	}
	if o.find(string(m.key)) != nil {
		o.fail(string(m.key[:min(len(m.key), maxShown)]), "is given twice")
		return false
	}
	if len(o.members) == maxMembers {
		o.failSelf(fmt.Sprintf("has more than %d fields", maxMembers))
		return false
	}
	o.members = append(o.members, m)
	return true
}

// find returns a member's raw value, nil if there is none.
func (o *object) find(name string) []byte {
	for _, m := range o.members {
		if string(m.key) == name {
			return m.value
		}
	}
	return nil
}

// has reports whether a field is there and not null.
func (o *object) has(name string) bool {
	v := o.find(name)
	return v != nil && v[0] != 'n'
}

// spelling returns the one of two spellings of a field that is there. Both at once are refused.
func (o *object) spelling(name, alias string) string {
	switch {
	case !o.has(alias):
		return name
	case o.has(name):
		o.fail(alias, "is given twice, also as "+name)
	}
	return alias
}

// object reads a nested object.
func (o *object) object(name string) *object {
	child := &object{doc: o.doc, parent: o, name: name}
	if o.doc.err != nil {
		return child
	}
	switch {
	case !o.has(name):
		o.fail(name, "is missing")
	case o.find(name)[0] != '{':
		o.fail(name, "is not an object")
	default:
		child.split(o.find(name))
	}
	return child
}

// text reads a string; escape sequences stay as they are, since no value that is read needs one.
func (o *object) text(name string) []byte {
	if o.doc.err != nil {
		return nil
	}
	v := o.find(name)
	switch {
	case !o.has(name):
		o.fail(name, "is missing")
	case v[0] != '"':
		o.fail(name, "is not a string")
	default:
		return v[1 : len(v)-1]
	}
	return nil
}

// number reads a uint64, a decimal string as in the beacon API or a bare integer.
func (o *object) number(name string) uint64 {
	if o.doc.err != nil {
		return 0
	}
	if !o.has(name) {
		o.fail(name, "is missing")
		return 0
	}
	v := bytes.Trim(o.find(name), `"`)
	for _, c := range v {
		if c < '0' || c > '9' {
			v = nil
			break
		}
	}
	if len(v) == 0 || (v[0] == '0' && len(v) > 1) {
		o.fail(name, "is not a decimal integer")
		return 0
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	if err != nil { // only digits: it can only be too large
		o.fail(name, "is larger than 64 bits")
	}
	return n
}

// hex reads 0x and hexadecimal digits of either case into dst, which they must fill.
func (o *object) hex(name string, dst []byte) {
	digits := o.hexDigits(name)
	if len(digits) != 2*len(dst) {
		o.fail(name, fmt.Sprintf("has %d hexadecimal digits, want %d", len(digits), 2*len(dst)))
		return
	}
	o.decodeHex(name, dst, digits)
}

// hexUpTo reads like hex, but leaves the rest of dst as it is if there are fewer digits.
func (o *object) hexUpTo(name string, dst []byte) {
	digits := o.hexDigits(name)
	if len(digits) > 2*len(dst) {
		o.fail(name, fmt.Sprintf("has %d hexadecimal digits, want at most %d", len(digits), 2*len(dst)))
		return
	}
	o.decodeHex(name, dst, digits)
}

// hexAny reads like hex, whatever the length.
func (o *object) hexAny(name string) []byte {
	digits := o.hexDigits(name)
	dst := make([]byte, len(digits)/2)
	o.decodeHex(name, dst, digits)
	return dst
}

func (o *object) hexDigits(name string) []byte {
	digits, ok := bytes.CutPrefix(o.text(name), []byte("0x"))
	if !ok {
		o.fail(name, "does not begin with 0x")
		return nil
	}
	return digits
}

func (o *object) decodeHex(name string, dst, digits []byte) {
	if len(digits)%2 != 0 {
		o.fail(name, "has an odd number of hexadecimal digits")
		return
	}
	if _, err := hex.Decode(dst, digits); err != nil {
		o.fail(name, "is not hexadecimal")
	}
}

// nextToken is the index of the first byte from i on that is no space. Like skip it is for valid JSON only.
func nextToken(raw []byte, i int) int {
	for raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\n' || raw[i] == '\r' {
		i++
	}
	return i
}

// skip is the index after the value that begins at i.
func skip(raw []byte, i int) int {
	depth := 0
	for ; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			for i++; raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default: // within a number or a word, or between the tokens of an object or array
			if depth > 0 || isScalar(raw, i+1) {
				continue
			}
		}
		if depth == 0 {
			return i + 1
		}
	}
	return i
}

// isScalar reports whether the byte at i goes on with the number or word before it.
func isScalar(raw []byte, i int) bool {
	return i < len(raw) && bytes.IndexByte([]byte(",}] \t\r\n"), raw[i]) < 0
}
