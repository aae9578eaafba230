package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// document is one YAML text on its way into a layer. It is read node by node, because only nodes know their lines.
type document struct {
	name  string // in errors
	keys  *schema
	found *report
	out   layer
}

// readYAML reads one YAML document. Text that is no YAML is the error; everything else that is wrong goes into found.
// Aliases are refused: nothing here needs them, and they let a small text stand for a huge one.
func readYAML(keys *schema, name string, text []byte, found *report) (layer, error) {
	d := &document{name: name, keys: keys, found: found, out: make(layer)}
	if i := invalidUTF8(text); i >= 0 {
		return nil, fmt.Errorf("%s:%d: not valid UTF-8", name, 1+bytes.Count(text[:i], []byte("\n")))
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root, next yaml.Node
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) { // nothing but comments
		return d.out, nil
	}
	if err != nil {
		return nil, d.malformed(err)
	}
	if err := decoder.Decode(&next); err == nil {
		return nil, fmt.Errorf("%s:%d: a second document begins here, want one", name, next.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, d.malformed(err)
	}
	d.section("", root.Content[0])
	return d.out, nil
}

// invalidUTF8 returns where text stops being UTF-8, or -1.
func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// malformed puts the parser's words into our form. It names no line for a fault in the first one.
func (d *document) malformed(err error) error {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), "1"
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		text, line = text[len(m[0]):], m[1]
	}
	return fmt.Errorf("%s:%s: malformed YAML: %s", d.name, line, text)
}

func (d *document) at(n *yaml.Node) string { return d.name + ":" + strconv.Itoa(n.Line) }

// section reads a mapping of keys and further sections. An empty section sets nothing.
func (d *document) section(prefix string, node *yaml.Node) {
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" {
		return
	}
	if node.Kind != yaml.MappingNode {
		d.found.add(d.at(node), prefix, "want a mapping of keys")
		return
	}
	d.each(prefix, node, func(name string, key, value *yaml.Node) {
		k := d.keys.byName[name]
		switch {
		case strings.Contains(key.Value, "."):
			d.found.add(d.at(key), name, "unknown key: a dot does not separate keys in YAML, nest them")
		case k != nil && k.Kind == Entries:
			d.put(*k, value, d.entries)
		case k != nil:
			d.put(*k, value, d.value)
		case d.keys.sections[name]:
			d.section(name, value)
		default:
			d.found.unknown(d.at(key), name, d.keys)
		}
	})
}

// each calls visit for every key of a mapping that is there for the first time.
func (d *document) each(prefix string, node *yaml.Node, visit func(name string, key, value *yaml.Node)) {
	first := make(map[string]int)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.found.add(d.at(key), prefix, "a key must be a plain name")
			continue
		}
		name := join(prefix, key.Value)
		if line, twice := first[key.Value]; twice {
			d.found.add(d.at(key), name, "set twice, first in line %d", line)
			continue
		}
		first[key.Value] = key.Line
		visit(name, key, value)
	}
}

func (d *document) put(k Key, node *yaml.Node, read func(Key, *yaml.Node) (any, error)) {
	v, err := read(k, node)
	if err != nil {
		d.found.add(d.at(node), k.Name, "%w", err)
		return
	}
	d.out[k.Name] = setting{value: v, origin: d.at(node)}
}

// value reads a scalar, or a list of texts. Numbers and switches may be quoted, because values from the environment
// travel through the parent as text.
func (d *document) value(k Key, node *yaml.Node) (any, error) {
	switch node.Kind {
	case yaml.SequenceNode:
		if k.Kind == Texts {
			return d.texts(node)
		}
	case yaml.ScalarNode:
		return scalar(k, node)
	case yaml.AliasNode:
		return nil, errors.New("aliases are not accepted")
	case yaml.DocumentNode, yaml.MappingNode:
	}
	return nil, k.unfit()
}

func scalar(k Key, node *yaml.Node) (any, error) {
	switch tag := node.ShortTag(); {
	case tag == "!!str", tag == "!!int" && k.Kind == Number, tag == "!!bool" && k.Kind == Switch:
		return k.parse(node.Value)
	case tag == "!!int" && k.Hex > 0: // 0x10000038 without quotes is a number to YAML, but is kept as written
		return k.parse(node.Value)
	case tag == "!!null":
		return nil, fmt.Errorf("has no value, want %s", k.want())
	case k.Kind == Text && k.Enum == nil:
		return nil, fmt.Errorf("want text, found %s: put it in quotes", strings.Trim(quote(tag), `"!`))
	}
	return nil, k.unfit()
}

func (d *document) texts(node *yaml.Node) ([]string, error) {
	texts := make([]string, 0, len(node.Content))
	for i, item := range node.Content {
		v, err := d.value(Key{Kind: Text}, item)
		if err == nil && v == "" {
			err = errors.New("is empty")
		}
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
		text, _ := v.(string)
		texts = append(texts, text)
	}
	return texts, nil
}

// entries reads a list of mappings; each must have every field.
func (d *document) entries(k Key, node *yaml.Node) (any, error) {
	if node.Kind != yaml.SequenceNode {
		return nil, k.unfit()
	}
	fields := make(map[string]Key, len(k.Fields))
	for _, f := range k.Fields {
		fields[f.Name] = f
	}
	entries := make([]any, 0, len(node.Content))
	for i, item := range node.Content {
		if item.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("entry %d: %w", i+1, k.unfit())
		}
		entry, err := d.entry(k, fields, item)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// entry reads one mapping of a list. What is wrong with one of its fields goes into found with that field's line.
func (d *document) entry(k Key, fields map[string]Key, node *yaml.Node) (map[string]any, error) {
	entry := make(map[string]any, len(fields))
	d.each(k.Name, node, func(name string, key, value *yaml.Node) {
		f, known := fields[key.Value]
		if !known {
			d.found.add(d.at(key), name, "unknown key, nearest known: %s", nearest(key.Value, sorted(fields)))
			return
		}
		v, err := d.value(f, value)
		if err != nil {
			d.found.add(d.at(value), name, "%w", err)
			v = nil
		}
		entry[f.Name] = v
	})
	for _, f := range k.Fields {
		v, ok := entry[f.Name]
		switch {
		case ok && f.Default != "" && fmt.Sprint(v) == f.Default:
			delete(entry, f.Name) // as if it were not written, which is what is measured
		case !ok && f.Default == "":
			return nil, fmt.Errorf("has no %s", f.Name)
		}
	}
	return entry, nil
}
