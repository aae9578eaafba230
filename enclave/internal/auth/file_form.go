package auth

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// written is the file's form.
type written struct {
	Policies     []writtenPolicy      `yaml:"policies"`
	Tokens       []writtenToken       `yaml:"tokens"`
	Certificates []writtenCertificate `yaml:"certificates"`
}

type writtenPolicy struct {
	Name  string        `yaml:"name"`
	Rules []writtenRule `yaml:"rules"`
}

type writtenRule struct {
	Effect     Effect   `yaml:"effect"`
	Scopes     []Scope  `yaml:"scopes"`
	Keys       []string `yaml:"keys"`
	Operations []string `yaml:"operations"`
}

// UnmarshalYAML implements yaml.Unmarshaler. A field that is misspelt would be one that is left out.
func (r *writtenRule) UnmarshalYAML(n *yaml.Node) error {
	type plain writtenRule
	for i := 0; i+1 < len(n.Content); i += 2 {
		if name := n.Content[i].Value; !slices.Contains([]string{"effect", "scopes", "keys", "operations"}, name) {
			return fmt.Errorf("line %d: unknown field %.40q of a rule", n.Content[i].Line, name)
		}
	}
	return n.Decode((*plain)(r))
}

// whole refuses a text with a value that is not there: it would stand for all, or for ever.
func whole(text []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil || doc.Kind == 0 {
		return cmp.Or(err, errors.New("there is nothing in it"))
	}
	return refuseNull(&doc)
}

func refuseNull(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return fmt.Errorf("line %d: there is no value; what is not meant is left out", n.Line)
	}
	for _, part := range n.Content {
		if err := refuseNull(part); err != nil {
			return err
		}
	}
	return nil
}

type writtenToken struct {
	Name       string   `yaml:"name"`
	Secret     string   `yaml:"secret"` // env:VARIABLE, file:PATH or sha256:DIGITS
	Policies   []string `yaml:"policies"`
	Management bool     `yaml:"management"`
	Expires    end      `yaml:"expires"`
}

type writtenCertificate struct {
	Name     string   `yaml:"name"`
	SPKI     string   `yaml:"spki_sha256"`
	Subject  string   `yaml:"subject"`
	CAPEM    string   `yaml:"ca_pem"`
	Policies []string `yaml:"policies"`
	Expires  end      `yaml:"expires"`
}

// end is when something ends. One that is written and says nothing would be never.
type end struct{ time.Time }

// UnmarshalYAML implements yaml.Unmarshaler.
func (e *end) UnmarshalYAML(n *yaml.Node) error {
	if err := n.Decode(&e.Time); err != nil || e.Unix() <= 0 {
		return fmt.Errorf("line %d: expires: want a time such as 2027-01-31T00:00:00Z", n.Line)
	}
	return nil
}

func (f *File) read() (*fileContent, error) {
	text, err := readLimited(f.path, maxFile)
	if err != nil {
		return nil, err
	}
	if err := whole(text); err != nil {
		return nil, fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", ""))
	}
	var w written
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&w); err != nil {
		return nil, fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", ""))
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one YAML document")
	}
	out := &fileContent{}
	if err := f.fill(out, w); err != nil {
		return nil, err
	}
	h := sha256.New()
	h.Write(text)
	for _, t := range out.tokens {
		h.Write(t.hash[:])
	}
	h.Sum(out.sum[:0])
	return out, nil
}

func (f *File) fill(out *fileContent, w written) error {
	d := &document{}
	for _, p := range w.Policies {
		made := Policy{Name: p.Name}
		for _, r := range p.Rules {
			made.Rules = append(made.Rules, Rule(r))
		}
		d.Policies = append(d.Policies, made)
	}
	for i, c := range w.Certificates {
		d.Certificates = append(d.Certificates, certificate{
			ID: fmt.Sprintf("file-certificate-%d", i), Name: c.Name, Policies: c.Policies, Expires: unix(c.Expires.Time), SPKI: c.SPKI, Subject: c.Subject, CAPEM: c.CAPEM,
		})
	}
	// Tokens of the file have no HMAC; their policies are looked up as all others'.
	for i, t := range w.Tokens {
		if !t.Management {
			d.Tokens = append(d.Tokens, clientToken{ID: fmt.Sprintf("file-token-%d", i), Name: t.Name, Policies: t.Policies})
		}
	}
	made, err := d.compile()
	if err != nil {
		return err
	}
	out.certificates = made.certificates
	for i, t := range w.Tokens {
		token, err := f.token(i, t, made)
		if err != nil {
			return fmt.Errorf("tokens[%d]: %w", i, err)
		}
		for n, other := range out.tokens {
			if other.hash == token.hash {
				return fmt.Errorf("tokens[%d]: has the secret of tokens[%d]", i, n)
			}
		}
		out.tokens = append(out.tokens, token)
	}
	return nil
}

func (f *File) token(i int, t writtenToken, made *compiled) (out fileToken, err error) {
	out = fileToken{id: fmt.Sprintf("file-token-%d", i), expires: unix(t.Expires.Time)}
	if err := checkName(t.Name); err != nil {
		return out, err
	}
	if t.Management {
		if len(t.Policies) > 0 {
			return out, errors.New("policies: a management token has none")
		}
		out.holder = &holder{label: "management token (" + t.Name + ")", management: true}
	} else {
		out.holder = &holder{label: "token (" + t.Name + ")", rules: made.tokens[out.id].holder.rules}
	}
	out.hash, err = f.secret(t.Secret)
	if err != nil {
		err = fmt.Errorf("secret: %w", err)
	}
	return out, err
}

// secret finds the hash of a token. No error tells any of it.
func (f *File) secret(where string) ([32]byte, error) {
	scheme, rest, _ := strings.Cut(where, ":")
	var text string
	switch scheme {
	case "sha256":
		sum, err := hex.DecodeString(rest)
		if err != nil || len(sum) != 32 {
			return [32]byte{}, errors.New("want sha256: and 64 hexadecimal digits")
		}
		return [32]byte(sum), nil
	case "env":
		found, ok := f.lookup(rest)
		if !ok {
			return [32]byte{}, fmt.Errorf("environment variable %s is not set", rest)
		}
		text = found
	case "file":
		found, err := readLimited(rest, 1<<10)
		if err != nil {
			return [32]byte{}, err
		}
		text = strings.TrimRight(string(found), "\r\n")
	default:
		return [32]byte{}, errors.New("want env:VARIABLE, file:PATH or sha256:DIGITS, and no secret itself")
	}
	if len(text) < minSecret || strings.ContainsFunc(text, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return [32]byte{}, fmt.Errorf("%s: want a token of at least %d letters, digits, '-' and '_'", where, minSecret)
	}
	return sha256.Sum256([]byte(text)), nil
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func readLimited(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return text, err
}
