package interchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// maxToken is the longest string, number or run of white space that is read, in bytes, give or take a buffer: far above
// what the format needs, and all that a file of any size can make us hold at once beside the records.
const maxToken = 1 << 20

// maxDepth is how deep arrays and objects may nest, also in what is passed over. The format needs 5; the decoder holds
// something for each level.
const maxDepth = 64

// parser reads JSON piece by piece.
type parser struct {
	json   *json.Decoder
	window *window
	depth  int // of arrays and objects that are open
}

func newParser(r io.Reader) *parser {
	w := &window{r: r, left: maxToken}
	p := &parser{json: json.NewDecoder(w), window: w}
	p.json.UseNumber()
	return p
}

// window bounds how much is read for one token.
type window struct {
	r    io.Reader
	left int
}

func (w *window) Read(b []byte) (int, error) {
	if w.left <= 0 {
		return 0, malformed("a value is longer than %d bytes", maxToken)
	}
	n, err := w.r.Read(b[:min(len(b), w.left)])
	w.left -= n
	return n, err
}

// token reads the next piece. That the file ends is an error.
func (p *parser) token() (json.Token, error) {
	p.window.left = maxToken
	t, err := p.json.Token()
	switch {
	case err == nil:
		return t, p.nest(t)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, malformed("the file ends in the middle, after byte %d", p.json.InputOffset())
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, malformed("not JSON near byte %d: %w", p.json.InputOffset(), syntax)
	}
	return nil, err
}

// nest keeps count of what is open.
func (p *parser) nest(t json.Token) error {
	switch t {
	case json.Delim('{'), json.Delim('['):
		p.depth++
	case json.Delim('}'), json.Delim(']'):
		p.depth--
	}
	if p.depth > maxDepth {
		return malformed("arrays and objects are nested deeper than %d, near byte %d", maxDepth, p.json.InputOffset())
	}
	return nil
}

// field is a member of an object that we know.
type field struct {
	name     string
	optional bool
	read     func() error
}

// object reads an object. Each field may be there once, and must be unless it is optional; others are passed over.
func (p *parser) object(fields ...field) error {
	if err := p.delimiter('{', "an object"); err != nil {
		return err
	}
	seen := 0 // one bit for each field
	for p.json.More() {
		t, err := p.token()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(fields, func(f field) bool { return t == json.Token(f.name) })
		if i < 0 {
			if err := p.skip(); err != nil {
				return err
			}
			continue
		}
		if seen&(1<<i) != 0 {
			return within(fields[i].name, malformed("it is there twice"))
		}
		seen |= 1 << i
		if err := fields[i].read(); err != nil {
			return within(fields[i].name, err)
		}
	}
	if err := p.delimiter('}', "the end of an object"); err != nil {
		return err
	}
	for i, f := range fields {
		if !f.optional && seen&(1<<i) == 0 {
			return within(f.name, malformed("it is missing"))
		}
	}
	return nil
}

// array reads an array, element by element; null is an empty one, because some clients write it so.
func (p *parser) array(element func() error) error {
	t, err := p.token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('[') {
		return malformed("want an array, not %s", describe(t))
	}
	for i := 0; p.json.More(); i++ {
		if err := element(); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return p.delimiter(']', "the end of an array")
}

func (p *parser) delimiter(want json.Delim, name string) error {
	t, err := p.token()
	if err == nil && t != want {
		err = malformed("want %s, not %s", name, describe(t))
	}
	return err
}

// skip passes over one value.
func (p *parser) skip() error {
	for outside := p.depth; ; {
		if _, err := p.token(); err != nil {
			return err
		}
		if p.depth == outside {
			return nil
		}
	}
}

// end makes sure that nothing follows.
func (p *parser) end() error {
	p.window.left = maxToken
	_, err := p.json.Token()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil || errors.As(err, new(*json.SyntaxError)) {
		return malformed("something follows the end of the object, near byte %d", p.json.InputOffset())
	}
	return err
}

// describe names a piece in an error, shortened.
func describe(t json.Token) string {
	switch v := t.(type) {
	case nil:
		return "null"
	case json.Delim:
		return "'" + v.String() + "'"
	case string:
		return quote(v)
	}
	return fmt.Sprint(shorten(fmt.Sprint(t)))
}

func quote(s string) string { return fmt.Sprintf("%q", shorten(s)) }

// shorten keeps an error readable whatever the file holds: a root has 66 bytes, a key 98.
func shorten(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
