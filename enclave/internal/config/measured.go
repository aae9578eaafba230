package config

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// measure writes down what the digest covers: the keys that say whom this signer serves and whom it trusts (network, access, TLS,
// platform, routes, role, both stores), as the sources set them. Defaults are left out, and so is what only tunes
// (sizes, times, ports, log level) or is local to a host (paths): changing it must not change what clients have pinned.
func (c *Config) measure(keys *schema) error {
	flat := make(map[string]any)
	for _, k := range keys.keys {
		if v, set := c.written[k.Name]; set && k.Measured {
			flat[k.Name] = k.withoutPassword(v)
		}
	}
	nested := koanf.New(".")
	if err := nested.Load(confmap.Provider(flat, "."), nil); err != nil {
		return fmt.Errorf("measure configuration: %w", err)
	}
	var err error
	if c.measured, err = appendCanonical(nil, nested.Raw()); err != nil {
		return fmt.Errorf("measure configuration: %w", err)
	}
	return nil
}

// Measured is the RFC 8785 JSON of the measured keys as written, without passwords: it may be printed, and its
// SHA-384 is [Config.Digest].
func (c *Config) Measured() []byte { return bytes.Clone(c.measured) }

// Digest is the SHA-384 of [Config.Measured], what an enclave extends PCR16 with.
func (c *Config) Digest() [sha512.Size384]byte { return sha512.Sum384(c.measured) }

// Change is one key that two configurations set differently.
type Change struct {
	Key      string
	Old, New string // JSON without passwords, or "unset", followed by the default if there is one
	Measured bool   // the change gives another digest
}

// Diff compares two configurations as written, in the order of the struct: setting a key to its default is a change, because the
// digest of a measured key sees it. A URL of which only the password differs is a change that is not measured.
func Diff(before, after *Config) []Change {
	var changes []Change
	for _, k := range Keys() {
		x, y := before.shown(k), after.shown(k)
		measured := k.Measured && x != y
		if x == y {
			if fmt.Sprint(before.written[k.Name]) == fmt.Sprint(after.written[k.Name]) {
				continue
			}
			y += " (another password)"
		}
		changes = append(changes, Change{Key: k.Name, Old: x, New: y, Measured: measured})
	}
	return changes
}

// shown is what c sets k to, for people.
func (c *Config) shown(k Key) string {
	v, set := c.written[k.Name]
	if !set {
		if k.Default == "" {
			return "unset"
		}
		return "unset (default " + k.Default + ")"
	}
	text, err := appendCanonical(nil, k.withoutPassword(v))
	if err != nil { // only texts, numbers, switches and lists are ever written
		return err.Error()
	}
	return string(text)
}

// withoutPassword is v, or of a URL what may be printed and measured.
func (k Key) withoutPassword(v any) any {
	text, ok := v.(string)
	if !k.URL || !ok || text == "" {
		return v
	}
	u, err := parseStoreURL(text)
	if err != nil { // refused by the checks
		return ""
	}
	return u.public
}

// storeURL is the address of a database, apart from its password.
type storeURL struct {
	public   string // without password
	password bool   // there was one
}

// parseStoreURL reads a PostgreSQL URL. Its errors never repeat the text. A password may stand before the host or in the
// query, as libpq allows; both forms are taken out. Characters that would let one end up elsewhere (@ and # after the
// host, as in a password that was not percent-encoded) are refused.
func parseStoreURL(text string) (storeURL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return storeURL{}, errors.New("want postgres://user@host:port/database; special characters in a password must be percent-encoded")
	}
	_, found := u.User.Password()
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	pairs := strings.Split(u.RawQuery, "&")
	kept := slices.DeleteFunc(slices.Clone(pairs), func(pair string) bool {
		name, err := url.QueryUnescape(strings.SplitN(pair, "=", 2)[0])
		return err != nil || strings.Contains(strings.ToLower(name), "password")
	})
	u.RawQuery = strings.Join(kept, "&")
	rest := *u
	rest.User = nil
	if strings.ContainsAny(rest.String(), "@#") {
		return storeURL{}, errors.New("want no @ or # after the host; special characters in a password must be percent-encoded")
	}
	return storeURL{public: u.String(), password: found || len(kept) < len(pairs)}, nil
}
