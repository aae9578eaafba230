package filesystem

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// The values of a descriptor's type.
const (
	kindRaw      = "file-raw"
	kindKeystore = "file-keystore"
)

// Limits in bytes.
const (
	maxDescriptor = 64 << 10
	maxKeystore   = 1 << 20
	maxPassword   = 16 << 10
)

// descriptor is a .yaml file that says where a key is.
type descriptor struct {
	kind         string // type
	private      []byte // privateKey of a file-raw, as text
	keystoreFile string // of a file-keystore, like passwordFile; the path is complete
	passwordFile string
	canary       bool
}

// fields are those that a type of descriptor has beside type and keyType; all are required.
func fields(kind string) []string {
	switch kind {
	case kindRaw:
		return []string{"privateKey"}
	case kindKeystore:
		return []string{"keystoreFile", "keystorePasswordFile"}
	}
	return nil
}

// parseDescriptor reads a descriptor whose relative paths start at dir. Its errors never quote a value, nor the
// parser's own words, which do: any part of the file may be the key.
func parseDescriptor(b []byte, dir string) (*descriptor, error) {
	values, err := parseYAML(b)
	if err != nil {
		return nil, err
	}
	kind := values["type"]
	own := fields(kind)
	if _, said := values["keyType"]; !said { // as in Web3Signer
		values["keyType"] = "BLS"
	}
	switch {
	case kind == "":
		return nil, errors.New("field type is missing")
	case own == nil:
		return nil, fmt.Errorf("unknown type: it is neither %s nor %s", kindRaw, kindKeystore)
	case values["keyType"] != "BLS":
		return nil, errors.New("field keyType is not BLS")
	}
	canary, err := parseCanary(values)
	if err != nil {
		return nil, err
	}
	for _, name := range own {
		if values[name] == "" {
			return nil, fmt.Errorf("field %s is missing", name)
		}
	}
	if len(values) > len(own)+2 {
		return nil, fmt.Errorf("a descriptor of type %s has only %s beside type, keyType and canary", kind, strings.Join(own, " and "))
	}
	return &descriptor{
		kind:         kind,
		private:      []byte(values["privateKey"]),
		keystoreFile: beside(dir, values["keystoreFile"]),
		passwordFile: beside(dir, values["keystorePasswordFile"]),
		canary:       canary,
	}, nil
}

// parseCanary takes the field canary out, which Web3Signer does not have: true for a key that nobody should ever ask for.
func parseCanary(values map[string]string) (canary bool, err error) {
	text, said := values["canary"]
	delete(values, "canary")
	if said && text != "true" && text != "false" {
		return false, errors.New("field canary is neither true nor false")
	}
	return text == "true", nil
}

func beside(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// parseYAML reads one flat mapping of known names to scalars, each as it was written.
func parseYAML(b []byte) (map[string]string, error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty")
		}
		return nil, malformedYAML(err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("not a YAML mapping of names to values")
	}
	pairs := doc.Content[0].Content
	values := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		switch name.Value {
		case "type", "keyType", "privateKey", "keystoreFile", "keystorePasswordFile", "canary":
		default:
			return nil, unknownField(name)
		}
		if _, again := values[name.Value]; again {
			return nil, fmt.Errorf("field %s occurs twice", name.Value)
		}
		if value.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("field %s is not a string", name.Value)
		}
		values[name.Value] = value.Value
	}
	return values, nil
}

// unknownField names the field only if it looks like a field's name and not like a key.
func unknownField(name *yaml.Node) error {
	if regexp.MustCompile(`^[A-Za-z_]{1,32}$`).MatchString(name.Value) {
		return fmt.Errorf("unknown field %s", name.Value)
	}
	return fmt.Errorf("unknown field in line %d", name.Line)
}

// malformedYAML keeps the line of a parser's error.
func malformedYAML(err error) error {
	if line := regexp.MustCompile(`line \d+`).FindString(err.Error()); line != "" {
		return fmt.Errorf("not valid YAML: see %s", line)
	}
	return errors.New("not valid YAML")
}

// rawKey is the key of a file-raw, whose text the caller clears. The YAML parser's copy is left to the garbage collector, which
// is one more reason to keep keys in keystores.
func (d *descriptor) rawKey() (*bls.SecretKey, error) {
	digits := bytes.TrimPrefix(d.private, []byte("0x"))
	b := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(b, digits); err != nil || len(b) != bls.SecretKeySize {
		clear(b)
		return nil, errors.New("field privateKey is not 64 hexadecimal digits")
	}
	key, err := bls.NewSecretKey(b)
	if err != nil {
		return nil, fmt.Errorf("field privateKey: %w", err)
	}
	return key, nil
}

// locked is a keystore with its password, in files.
type locked struct{ keystoreFile, passwordFile string }

// read reads both files. The password is the caller's to clear.
func (l *locked) read() (text, password []byte, err error) {
	text, err = readFile(l.keystoreFile, maxKeystore)
	if err != nil {
		return nil, nil, fmt.Errorf("keystore %s: %w", l.keystoreFile, err)
	}
	password, err = readFile(l.passwordFile, maxPassword)
	if err != nil {
		return nil, nil, fmt.Errorf("password file %s: %w", l.passwordFile, err)
	}
	return text, password, nil
}

// open decrypts what read returned.
func (l *locked) open(ctx context.Context, memory *KDFMemory, text, password []byte) (*bls.SecretKey, error) {
	key, err := OpenKeystore(ctx, memory, text, bytes.TrimRight(password, "\r\n"))
	if errors.Is(err, errPassword) {
		return nil, fmt.Errorf("keystore %s: %w in %s", l.keystoreFile, err, l.passwordFile)
	}
	if err != nil {
		return nil, fmt.Errorf("keystore %s: %w", l.keystoreFile, err)
	}
	return key, nil
}
