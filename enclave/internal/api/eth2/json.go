package eth2

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The reader of request bodies. encoding/json checks the syntax and this file finds the fields, because
// encoding/json takes the last of two equal keys, matches keys in any case, and cannot name the field that is wrong.

// Reading costs time in proportion to the size of the body, since each byte is looked at once for each object that it is
// in and these are few. What would cost more for its size has a limit: the fields of an object, which are compared
// with each other, and the elements of arrays, each of which is hashed.

// maxMembers is the most fields one object may have. The largest object read has nineteen.
const maxMembers = 32

// maxShown is how much of a text that the caller chose an error repeats, in bytes. No name that is looked for is as long.
const maxShown = 64

func clip(text []byte) string { return string(text[:min(len(text), maxShown)]) }

// quote makes a text of the caller's fit for an error and a log: clipped, in quotes, and plain ASCII.
func quote(text []byte) string { return strconv.QuoteToASCII(clip(text)) }

// document remembers the first thing that is wrong in a body. What was read is of no use unless err is nil.
type document struct {
	err     error
	members []member // of all objects, each object's in a row

	// Room for what all but the largest requests have, so that reading them allocates the document alone.
	objects      [8]object
	used         int // of objects
	firstMembers [32]member
}

// object is a JSON object within a document. Its methods read one field each; after an error, or if the object
// itself is absent, they return zero values.
type object struct {
	doc     *document
	parent  *object
	name    string // in parent
	index   int    // in the array of that name in parent, or -1
	members []member
}

// member is a field, its value raw and without surrounding space.
type member struct{ key, value []byte }

// parse returns the object that is the whole body.
func parse(body []byte) (*document, *object) {
	doc := &document{}
	doc.members = doc.firstMembers[:0]
	root := doc.object(nil, "", -1)
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

// object is a new object without fields.
func (d *document) object(parent *object, name string, index int) *object {
	if d.used == len(d.objects) {
		return &object{doc: d, parent: parent, name: name, index: index}
	}
	o := &d.objects[d.used]
	d.used++
	o.doc, o.parent, o.name, o.index = d, parent, name, index
	return o
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
	if o.parent == nil {
		return "body"
	}
	path := o.name
	if o.parent.parent != nil {
		path = o.parent.path() + "." + path
	}
	if o.index >= 0 {
		path += "[" + strconv.Itoa(o.index) + "]"
	}
	return path
}

// failSelf records that the object itself is wrong.
func (o *object) failSelf(reason string) {
	if o.doc.err == nil {
		o.doc.err = fmt.Errorf("%s: %s", o.path(), reason)
	}
}

// split finds the members of raw, a valid JSON object.
func (o *object) split(raw []byte) {
	start := len(o.doc.members)
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
		o.members = o.doc.members[start:]
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
	for _, other := range o.members {
		if bytes.Equal(m.key, other.key) {
			o.fail(strings.Trim(quote(m.key), `"`), "is given twice")
			return false
		}
	}
	if len(o.members) == maxMembers {
		o.failSelf(fmt.Sprintf("has more than %d fields", maxMembers))
		return false
	}
	o.doc.members = append(o.doc.members, m)
	return true
}

// find returns a member's raw value, nil if there is none.
func (o *object) find(name string) []byte {
	for i := range o.members {
		if m := &o.members[i]; string(m.key) == name {
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

// spelling returns the one of a field's spellings that is there, or the first. Two at once are refused.
func (o *object) spelling(name string, aliases ...string) string {
	found := o.has(name)
	for _, alias := range aliases {
		if !o.has(alias) {
			continue
		}
		if found {
			o.fail(alias, "is given twice, also as "+name)
			break
		}
		name, found = alias, true
	}
	return name
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
	switch raw[i] {
	case '"':
		return skipString(raw, i)
	case '{', '[':
		return skipNested(raw, i)
	}
	for i < len(raw) && bytes.IndexByte([]byte(",}] \t\r\n"), raw[i]) < 0 {
		i++
	}
	return i
}

// skipString is skip for a string. It looks for quotes, not at each byte: a transaction may be megabytes long.
func skipString(raw []byte, i int) int {
	for {
		i++
		i += bytes.IndexByte(raw[i:], '"')
		escapes := 0
		for raw[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

// skipNested is skip for an object or an array.
func skipNested(raw []byte, i int) int {
	for depth := 0; ; {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
}
