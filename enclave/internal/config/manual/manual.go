// Package manual writes the annotated example configuration from the comments of the configuration struct.
package manual

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
)

const header = `# Containment Chamber: every key with its meaning, its default (commented out) and its trust.
# Generated from the code by "containment-chamber config example". What is not commented out must be set;
# with it alone this file loads.
#
# Defaults < this file < environment < flags. Unknown keys, wrong types and keys set twice are refused.
# "Measured" keys are part of the configuration digest, which an enclave extends PCR16 with and clients can pin.
# No secret belongs in this file.
`

// Example is config.example.yaml. It fails if a key has no comment.
func Example() (string, error) {
	w, err := newWriter()
	if err != nil {
		return "", err
	}
	w.WriteString(header)
	var open []string // the sections that the last key stood in
	for _, k := range config.Keys() {
		path := strings.Split(k.Name, ".")
		sections := path[:len(path)-1]
		for depth, name := range sections {
			if depth < len(open) && open[depth] == name {
				continue
			}
			open = open[:depth]
			w.section(depth, name, strings.Join(sections[:depth+1], "."))
			open = append(open, name)
		}
		open = open[:len(sections)]
		w.key(len(sections), path[len(path)-1], k)
	}
	return w.String(), w.err
}

type writer struct {
	strings.Builder
	comments map[string]string // of "Struct.Field"
	sections map[string]string // comments of sections, by name
	err      error
}

func newWriter() (*writer, error) {
	w := &writer{comments: make(map[string]string), sections: make(map[string]string)}
	structs := make(map[string]*ast.StructType)
	for _, text := range config.Source() {
		file, err := parser.ParseFile(token.NewFileSet(), "", text, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("read the comments of the configuration: %w", err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					structs[spec.Name.Name] = s
				}
			}
			return true
		})
	}
	w.collect("", "Config", structs)
	return w, nil
}

// collect walks the structs as the keys are walked.
func (w *writer) collect(prefix, name string, structs map[string]*ast.StructType) {
	for _, f := range structs[name].Fields.List {
		if f.Tag == nil {
			continue
		}
		_, tag, _ := strings.Cut(f.Tag.Value, `koanf:"`)
		key, _, _ := strings.Cut(tag, `"`)
		w.comments[name+"."+f.Names[0].Name] = f.Doc.Text()
		section := strings.TrimPrefix(prefix+"."+key, ".")
		switch t := f.Type.(type) {
		case *ast.Ident:
			if structs[t.Name] != nil {
				w.sections[section] = f.Doc.Text()
				w.collect(section, t.Name, structs)
			}
		case *ast.ArrayType:
			if item, ok := t.Elt.(*ast.Ident); ok && structs[item.Name] != nil {
				w.collect(section, item.Name, structs)
			}
		}
	}
}

func (w *writer) section(depth int, name, full string) {
	w.gap()
	w.comment(depth, full, w.sections[full])
	w.line(depth, name+":")
}

func (w *writer) key(depth int, name string, k config.Key) {
	w.gap()
	w.comment(depth, k.Name, w.comments[k.Struct+"."+k.Field])
	w.comment(depth, k.Name, facts(k))
	if k.Kind == config.Entries {
		w.entries(depth, name, k)
		return
	}
	value := k.Default
	if value == "" {
		value = k.Example
	}
	if k.Kind == config.Texts {
		value = "[" + value + "]"
	}
	mark := "#"
	if shown(k.Name) {
		mark = ""
	}
	w.line(depth, mark+name+": "+value)
}

// shown are the keys that nobody can do without, or that the example's choice of another one asks for.
func shown(key string) bool {
	return key == "network" || key == "anti_slashing.backend" || key == "anti_slashing.sqlite.path"
}

// facts are what the tags say.
func facts(k config.Key) string {
	var parts []string
	if k.Enum != nil {
		parts = append(parts, "One of: "+strings.Join(k.Enum, ", ")+".")
	}
	switch {
	case k.Kind == config.Switch:
		parts = append(parts, "One of: true, false. Default: "+k.Default+".")
	case k.Kind == config.Number:
		parts = append(parts, fmt.Sprintf("Default: %s; range %d to %d.", k.Default, k.Min, k.Max))
	case k.Default != "":
		parts = append(parts, "Default: "+k.Default+".")
	case k.Kind == config.Texts, k.Kind == config.Entries:
		parts = append(parts, "Default: empty.")
	default:
		parts = append(parts, "Default: none.")
	}
	if k.Measured {
		parts = append(parts, "Measured.")
	}
	if k.Environment() != "" {
		parts = append(parts, k.Environment()+", --"+k.Flag())
	}
	if k.Alias != "" {
		parts = append(parts, "(or --"+k.Alias+")")
	}
	return strings.Join(parts, " ")
}

func (w *writer) entries(depth int, name string, k config.Key) {
	w.line(depth, "# Each entry has:")
	for _, f := range k.Fields {
		text := strings.TrimSpace(w.comments[f.Struct+"."+f.Field])
		w.line(depth, "# - "+f.Name+": "+strings.ReplaceAll(text, "\n", " "))
	}
	w.line(depth, "#"+name+":")
	bullet := "  - "
	for _, f := range k.Fields {
		w.line(depth, "#"+bullet+f.Name+": "+f.Example)
		bullet = "    "
	}
}

func (w *writer) comment(depth int, key, text string) {
	text = strings.TrimSpace(text)
	if text == "" && w.err == nil {
		w.err = fmt.Errorf("%s has no comment in the configuration's structs", key)
	}
	for line := range strings.SplitSeq(text, "\n") {
		w.line(depth, strings.TrimRight("# "+line, " "))
	}
}

// gap separates two keys, but not a section from its first one.
func (w *writer) gap() {
	if !strings.HasSuffix(w.String(), ":\n") {
		w.WriteString("\n")
	}
}

func (w *writer) line(depth int, text string) {
	w.WriteString(strings.Repeat("  ", depth) + text + "\n")
}
