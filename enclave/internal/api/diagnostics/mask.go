package diagnostics

import (
	"regexp"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
)

const masked = "[left out]"

// newMasks find what looks like a secret. What is not one of its groups is kept, and what is in none is replaced. Nothing that is meant to be
// in a bundle has a secret, but the log may: on platform none the setup token is shown there, and errors are written by others.
func newMasks() []*regexp.Regexp {
	tokens := strings.Join([]string{auth.ManagementPrefix, auth.ClientPrefix, auth.SetupPrefix}, "|")
	return []*regexp.Regexp{
		regexp.MustCompile(`(` + tokens + `)[0-9A-Za-z_-]+`),
		regexp.MustCompile(`(://[^/\s"'@:]*:)[^/\s"'@]+(@)`),
		regexp.MustCompile(`(?i)(\b(?:ssl)?(?:password|passphrase|pwd|secret|token)=)[^\s&"'\\,;]+`),
		regexp.MustCompile(`(?i)("[a-z_]*(?:password|passphrase|secret|mnemonic|private_?key)":\s*")(?:[^"\\]|\\.)+(")`),
	}
}

// mask replaces what looks like a secret.
func (a *API) mask(text []byte) []byte {
	for _, m := range a.masks {
		text = m.ReplaceAll(text, []byte("${1}"+masked+"${2}"))
	}
	return text
}
