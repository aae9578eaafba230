package config

import (
	"fmt"
	"slices"
	"strings"
)

// leftOut are keys whose values are nobody's business but the signer's, beside those whose names say so: whoever learns which keys are
// watched can avoid them.
var leftOut = []string{"signing.canary_keys"} //nolint:gochecknoglobals // constant; Go has no constant lists

// secretWords in the name of a key say that its value is a secret, or one encrypted or hashed.
var secretWords = []string{"password", "passphrase", "token", "secret", "access_key", "credential", "private"} //nolint:gochecknoglobals // as above

// notSecret are the ends of names that only tell where a secret is, or how long it is good for.
var notSecret = []string{"_arn", "_file", "_path", "_dir", "_seconds"} //nolint:gochecknoglobals // as above

// Secret says whether the value of k is left out where a configuration is shown. A password in a URL is taken out of it instead.
func (k Key) Secret() bool {
	if slices.Contains(leftOut, k.Name) {
		return true
	}
	name := k.Name[strings.LastIndexByte(k.Name, '.')+1:]
	if k.Kind == Number || k.Kind == Switch || k.Enum != nil || slices.ContainsFunc(notSecret, func(end string) bool { return strings.HasSuffix(name, end) }) {
		return false
	}
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(name, word) })
}

// Effective is the configuration in force without secrets, for people: one line for each key, in the order of the struct, with its value as
// JSON, and whether that is the default.
func (c *Config) Effective() string {
	var out strings.Builder
	for _, k := range Keys() {
		v, set := c.written[k.Name]
		if !set {
			v = k.fallback()
		}
		text, err := appendCanonical(nil, k.withoutPassword(v))
		switch empty := string(text) == `""` || string(text) == "[]"; {
		case err != nil: // only texts, numbers, switches and lists are ever written
			text = []byte(err.Error())
		case k.Secret() && !empty:
			text = []byte("(left out)")
		}
		fmt.Fprintf(&out, "%s: %s", k.Name, text)
		if !set {
			out.WriteString("  # default")
		}
		out.WriteByte('\n')
	}
	return out.String()
}
