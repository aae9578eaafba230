package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parse reads one YAML document into nested maps whose leaves are YAML nodes: a node keeps its line for errors, and
// its value as written for the enclave, which measures what was written (010 must not arrive as 8).
func parse(name string, text []byte) (map[string]any, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root, next yaml.Node
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) { // nothing but comments
		return map[string]any{}, nil
	}
	if err != nil {
		return nil, malformed(name, err)
	}
	if err := decoder.Decode(&next); err == nil {
		return nil, fmt.Errorf("%s:%d: a second document begins here, want one", name, next.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, malformed(name, err)
	}
	top := root.Content[0]
	if isNull(top) {
		return map[string]any{}, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: want a mapping of keys", name, top.Line)
	}
	return (&document{name}).section("", top)
}

type document struct{ name string }

// section turns a mapping into a map. A dot in a key, a key given twice, aliases and merge keys are refused: each
// would let two readers of the file see two configurations.
func (d *document) section(prefix string, node *yaml.Node) (map[string]any, error) {
	out := make(map[string]any, len(node.Content)/2)
	lines := make(map[string]int, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return nil, d.problem(key, prefix, "a key must be a plain name")
		}
		path := prefix + key.Value
		first, twice := lines[key.Value]
		switch {
		case strings.Contains(key.Value, "."):
			return nil, d.problem(key, path, "a dot does not separate keys in YAML, nest them")
		case twice:
			return nil, d.problem(key, path, fmt.Sprintf("set twice, first in line %d", first))
		}
		lines[key.Value] = key.Line
		var err error
		if value.Kind == yaml.MappingNode {
			out[key.Value], err = d.section(path+".", value)
		} else {
			out[key.Value], err = value, d.clean(path, value)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// clean strips what is not to be sent to the enclave.
func (d *document) clean(path string, node *yaml.Node) error {
	if node.Kind == yaml.AliasNode {
		return d.problem(node, path, "aliases are not accepted")
	}
	node.Anchor, node.HeadComment, node.LineComment, node.FootComment = "", "", "", ""
	// The YAML library writes some blocks with an indentation that it cannot read back, and some absent values as ''.
	if blocks := yaml.LiteralStyle | yaml.FoldedStyle; node.Style&blocks != 0 {
		node.Style = node.Style&^blocks | yaml.DoubleQuotedStyle
	}
	if isNull(node) {
		node.Value = "~"
	}
	for _, child := range node.Content {
		if err := d.clean(path, child); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) problem(at *yaml.Node, path, reason string) error {
	return fmt.Errorf("%s:%d: %s: %s", d.name, at.Line, printable(strings.TrimSuffix(path, ".")), reason)
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// malformed puts the YAML parser's words into our form. It names no line for a fault in the first one.
func malformed(name string, err error) error {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), "1"
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		text, line = text[len(m[0]):], m[1]
	}
	return fmt.Errorf("%s:%s: malformed YAML: %s", name, line, text)
}
