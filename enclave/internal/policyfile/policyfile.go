// Package policyfile reads and writes files of attestation policies.
package policyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// Read reads the policy in a file. The error names the file and, for YAML, the line.
func Read(path string) (attestation.Policy, error) {
	file, err := os.Open(path)
	if err != nil {
		return attestation.Policy{}, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(file, attestation.MaxPolicy+1))
	if err != nil {
		return attestation.Policy{}, fmt.Errorf("%s: %w", path, err)
	}
	return Parse(path, text)
}

// Parse reads a policy, at most attestation.MaxPolicy bytes, as [attestation.ParsePolicy] does. A text that begins with a brace is
// JSON, any other is YAML with the same fields. The name is for errors.
func Parse(name string, text []byte) (attestation.Policy, error) {
	switch {
	case len(text) > attestation.MaxPolicy:
		return attestation.Policy{}, fmt.Errorf("%s: larger than %d bytes", name, attestation.MaxPolicy)
	case len(bytes.TrimSpace(text)) == 0:
		return attestation.Policy{}, fmt.Errorf("%s: empty", name)
	case bytes.TrimSpace(text)[0] == '{':
		return parseJSON(name, text)
	}
	return parseYAML(name, text)
}

func parseJSON(name string, text []byte) (attestation.Policy, error) {
	p, err := attestation.ParsePolicy(text)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := text[:min(int(syntax.Offset), len(text))]
		return p, fmt.Errorf("%s:%d: malformed JSON: %w", name, 1+bytes.Count(before, []byte("\n")), syntax)
	}
	if err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

func parseYAML(name string, text []byte) (attestation.Policy, error) {
	root, err := readYAML(name, text)
	if err != nil {
		return attestation.Policy{}, err
	}
	c := converter{name: name}
	converted, err := c.value(root, 0)
	if err != nil {
		return attestation.Policy{}, err
	}
	p, err := attestation.ParsePolicy(converted)
	if err != nil {
		return attestation.Policy{}, c.locate(root, err)
	}
	return p, nil
}
