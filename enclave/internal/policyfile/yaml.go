package policyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// maxDepth is how deep values may nest; a register's value stands at 4.
const maxDepth = 8

// readYAML reads one document, node by node, because only nodes know their lines.
func readYAML(name string, text []byte) (*yaml.Node, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%s: not valid UTF-8", name)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root, next yaml.Node
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: nothing but comments", name)
	}
	if err != nil {
		return nil, malformed(name, err)
	}
	if err := decoder.Decode(&next); err == nil {
		return nil, fmt.Errorf("%s:%d: a second document begins here, want one", name, next.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, malformed(name, err)
	}
	return root.Content[0], nil
}

// malformed puts the parser's words into our form. It names no line for a fault in the first one.
func malformed(name string, err error) error {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), "1"
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		text, line = text[len(m[0]):], m[1]
	}
	return fmt.Errorf("%s:%s: malformed YAML: %s", name, line, text)
}

// converter writes YAML as JSON. It refuses what the two languages, or two readers of YAML, could understand differently.
type converter struct{ name string }

func (c converter) fail(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", c.name, n.Line, fmt.Errorf(format, args...))
}

func (c converter) value(n *yaml.Node, depth int) (json.RawMessage, error) {
	switch {
	case depth > maxDepth:
		return nil, c.fail(n, "nested too deeply for a policy")
	case n.Kind == yaml.AliasNode:
		return nil, c.fail(n, "aliases are not accepted")
	case n.Anchor != "":
		return nil, c.fail(n, "anchor &%s: anchors are not accepted", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		return nil, c.fail(n, "tag %s: tags are not accepted", n.Tag)
	}
	switch n.Kind {
	case yaml.MappingNode:
		return c.mapping(n, depth)
	case yaml.SequenceNode:
		return c.sequence(n, depth)
	case yaml.ScalarNode:
		return c.scalar(n)
	case yaml.DocumentNode, yaml.AliasNode:
	}
	return nil, c.fail(n, "not a value of a policy")
}

func (c converter) mapping(n *yaml.Node, depth int) (json.RawMessage, error) {
	first := map[string]int{}
	out := []byte{'{'}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch name := key.Value; {
		case key.Kind != yaml.ScalarNode, key.Anchor != "", key.Style&yaml.TaggedStyle != 0, key.ShortTag() == "!!merge":
			return nil, c.fail(key, "a name must be plain text")
		case first[name] > 0:
			return nil, c.fail(key, "%.40q is set twice, first in line %d", name, first[name])
		default:
			first[name] = key.Line
		}
		value, err := c.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(key.Value)...), ':'), value...)
	}
	return append(out, '}'), nil
}

func (c converter) sequence(n *yaml.Node, depth int) (json.RawMessage, error) {
	out := []byte{'['}
	for i, item := range n.Content {
		value, err := c.value(item, depth+1)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, value...)
	}
	return append(out, ']'), nil
}

// scalar takes texts and times as they are written. The digits of a register that happen to hold no letter, or just one e, are a number
// to YAML, whose value would not be what was written.
func (c converter) scalar(n *yaml.Node) (json.RawMessage, error) {
	_, err := attestation.ParsePCR(n.Value)
	register := err == nil
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return quote(n.Value), nil
	case "!!int", "!!float":
		if register {
			return quote(n.Value), nil
		}
		if !regexp.MustCompile(`^-?(0|[1-9]\d*)(\.\d+)?$`).MatchString(n.Value) {
			return nil, c.fail(n, "%.40s is not a plain decimal number; if it is text, put it into quotes", n.Value)
		}
		return json.RawMessage(n.Value), nil
	case "!!bool":
		return json.RawMessage(strings.ToLower(n.Value)), nil
	case "!!null":
		return nil, c.fail(n, "no value")
	}
	return nil, c.fail(n, "%.40q is of type %s, which no policy has", n.Value, n.ShortTag())
}

// quote writes text as JSON.
func quote(text string) json.RawMessage {
	out, _ := json.Marshal(text) // text always has a form
	return out
}
