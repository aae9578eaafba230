// Package config turns file, environment and flags into one checked struct.
package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// Sources are where a configuration comes from. Later fields override earlier ones, and all override the defaults.
type Sources struct {
	Path    string         // YAML file; empty for none
	YAML    []byte         // the file's content instead of Path, as the boot service hands it over
	Environ []string       // "NAME=value" as os.Environ gives it; nil ignores the environment
	Flags   *pflag.FlagSet // prepared by [RegisterFlags] and parsed; nil for none
}

// Load merges the sources and checks the result. Every problem is in the error, one per line, each with its place
// (file and line, environment variable or flag), its key and the reason; values are not repeated in
// errors, because one of them may be a secret in the wrong place. At most [wire.MaxConfiguration] bytes of
// YAML are read.
func Load(s Sources) (*Config, error) {
	name, text, err := s.read()
	if err != nil {
		return nil, err
	}
	keys := newSchema()
	found := &report{}
	file, err := readYAML(keys, name, text, found)
	if err != nil {
		return nil, err
	}
	layers := []layer{readDefaults(keys), file, readEnviron(keys, s.Environ, found), readFlags(keys, s.Flags, found)}
	cfg, err := merge(keys, layers)
	if err != nil {
		return nil, err
	}
	origins := make(map[string]string)
	for _, l := range layers {
		for name, set := range l {
			origins[name] = set.origin
		}
	}
	(&checker{Config: cfg, found: found, origins: origins}).all(readProcess(s.Environ, found))
	if err := found.err(); err != nil {
		return nil, err
	}
	cfg.resolve()
	return cfg, cfg.measure(keys)
}

// LoadBytes loads what the boot service handed over: no environment, no flags.
func LoadBytes(yaml []byte) (*Config, error) { return Load(Sources{YAML: yaml}) }

// read returns the YAML text and the name that errors give it.
func (s Sources) read() (name string, text []byte, err error) {
	name, text = "configuration", s.YAML
	if s.Path != "" {
		if s.YAML != nil {
			return "", nil, errors.New("configuration is given both as a file and as bytes")
		}
		if text, err = readFile(s.Path); err != nil {
			return "", nil, fmt.Errorf("read configuration: %w", err)
		}
		name = s.Path
	}
	if len(text) > wire.MaxConfiguration {
		return "", nil, fmt.Errorf("%s: larger than %d bytes", name, wire.MaxConfiguration)
	}
	return name, text, nil
}

// readFile reads one byte more than is accepted, so that the caller sees what is too large.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	return io.ReadAll(io.LimitReader(f, wire.MaxConfiguration+1))
}

// merge lays the layers over each other, the first one the defaults, and decodes the result. Values have the schema's types
// already, so an error here is a fault of the schema.
func merge(keys *schema, layers []layer) (*Config, error) {
	all, written := koanf.New("."), make(map[string]any)
	for i, l := range layers {
		if err := all.Load(confmap.Provider(l.values(), "."), nil); err != nil {
			return nil, fmt.Errorf("merge configuration: %w", err)
		}
		if i > 0 {
			maps.Copy(written, l.values())
		}
	}
	for _, k := range keys.keys {
		if k.Unit == 0 {
			continue
		}
		if err := all.Set(k.Name, k.duration(all.Int64(k.Name))); err != nil {
			return nil, fmt.Errorf("merge configuration: %w", err)
		}
	}
	cfg := &Config{written: written}
	strict := koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{ErrorUnused: true}}
	if err := all.UnmarshalWithConf("", cfg, strict); err != nil {
		return nil, fmt.Errorf("decode configuration: %w", err)
	}
	return cfg, nil
}

// resolve replaces spellings by the one that is compared.
func (c *Config) resolve() {
	for i, key := range c.Signing.CanaryKeys {
		c.Signing.CanaryKeys[i] = canary(key)
	}
}

// Routes is the route table in the form that both processes share.
func (t TEE) Routes() []wire.Route {
	routes := make([]wire.Route, len(t.Egress))
	for i, r := range t.Egress {
		routes[i] = wire.Route(r)
	}
	return routes
}

// setting is one key's value and the place that set it.
type setting struct {
	value  any    // int64, bool, string, []string or []any
	origin string // "config.yaml:12", "environment CONTAINMENT_NETWORK", "flag --network"; empty for a default
}

// layer is what one source sets, by key.
type layer map[string]setting

func (l layer) values() map[string]any {
	values := make(map[string]any, len(l))
	for name, set := range l {
		values[name] = set.value
	}
	return values
}

func readDefaults(keys *schema) layer {
	l := make(layer)
	for _, k := range keys.keys {
		l[k.Name] = setting{value: k.fallback()}
	}
	return l
}

// sorted returns the keys of a map in order, so that problems are told in the same order each time.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
