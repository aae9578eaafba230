package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	keyLine  = regexp.MustCompile(`^( *)#?([a-z][a-z0-9_]*):(?: (.*))?$`)
	rangeOf  = regexp.MustCompile(`range (\d+) to (\d+)`)
	enumOf   = regexp.MustCompile(`^\s*# One of: ([^.]+)\.`)
	entryKey = regexp.MustCompile(`^\s*# - ([a-z_]+): `)
)

// schema compares the part config of values.schema.json with config.example.yaml, which the code generates.
func schema(h house, update bool) error {
	example, err := h.read("config.example.yaml")
	if err != nil {
		return err
	}
	const name = chart + "values.schema.json"
	text, err := h.read(name)
	if err != nil {
		return err
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	properties, ok := all["properties"].(map[string]any)
	if !ok {
		return fmt.Errorf("%s: has no properties", name)
	}
	if properties["config"], err = configSchema(string(example)); err != nil {
		return fmt.Errorf("config.example.yaml: %w", err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(all); err != nil {
		return err
	}
	return h.same(name, out.Bytes(), update)
}

// configSchema reads the example: sections and keys by their indentation, types from what the comments above say.
func configSchema(example string) (map[string]any, error) {
	root := section()
	open := []map[string]any{root} // the section at each depth, two spaces apart
	var about []string
	keys := 0
	for line := range strings.Lines(example) {
		line = strings.TrimRight(line, "\n")
		found := keyLine.FindStringSubmatch(line)
		if found == nil {
			if strings.HasPrefix(strings.TrimSpace(line), "# ") {
				about = append(about, line)
			} else if strings.TrimSpace(line) == "" {
				about = nil
			}
			continue
		}
		depth := len(found[1]) / 2
		if depth >= len(open) {
			continue // an entry of a list
		}
		name := found[2]
		into := open[depth]["properties"].(map[string]any)
		if _, twice := into[name]; twice {
			continue
		}
		leaf := leafSchema(about, found[3])
		if leaf == nil {
			leaf = section()
			open = append(open[:depth+1], leaf)
		} else {
			keys++
		}
		into[name] = leaf
		about = nil
	}
	if keys < 50 {
		return nil, errors.New("found only " + strconv.Itoa(keys) + " keys: has its form changed?")
	}
	root["description"] = "The signer's configuration. It must be set: config.example.yaml of the repository explains every key."
	return root, nil
}

func section() map[string]any {
	return map[string]any{"type": "object", "additionalProperties": false, "properties": map[string]any{}}
}

// leafSchema is the type of a key; nil for a section, whose comment tells no default.
func leafSchema(about []string, example string) map[string]any {
	text := strings.Join(about, "\n")
	if !strings.Contains(text, "# Default: ") && !strings.Contains(text, " Default: ") {
		return nil
	}
	if bounds := rangeOf.FindStringSubmatch(text); bounds != nil {
		least, _ := strconv.ParseInt(bounds[1], 10, 64)
		most, _ := strconv.ParseInt(bounds[2], 10, 64)
		return map[string]any{"type": "integer", "minimum": least, "maximum": most}
	}
	var fields []string
	for _, line := range about {
		if enum := enumOf.FindStringSubmatch(line); enum != nil {
			values := strings.Split(enum[1], ", ")
			if values[0] == "true" {
				return map[string]any{"type": "boolean"}
			}
			return map[string]any{"enum": values}
		}
		if field := entryKey.FindStringSubmatch(line); field != nil {
			fields = append(fields, field[1])
		}
	}
	if fields != nil {
		return entries(fields)
	}
	if strings.HasPrefix(example, "[") {
		return map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
	}
	return map[string]any{"type": "string"}
}

// entries is a list of mappings. Names, hosts and versions are text, so that YAML makes no numbers of them.
func entries(fields []string) map[string]any {
	item := section()
	for _, field := range fields {
		kind := "string"
		switch {
		case strings.HasSuffix(field, "port"):
			kind = "integer"
		case field == "plain":
			kind = "boolean"
		}
		item["properties"].(map[string]any)[field] = map[string]any{"type": kind}
	}
	return map[string]any{"type": "array", "items": item}
}
