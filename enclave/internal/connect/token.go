package connect

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// maxToken is the longest token in bytes. A header has room for it beside all others.
const maxToken = 4 << 10

// Token is what a signer knows a client by. The zero Token is none. It does not print.
type Token struct {
	secret.Redacted
	text secret.Bytes
}

// ReadToken reads a token from where it is said to be: env:VARIABLE or file:PATH. lookup finds variables of the environment. White space
// around it, such as a newline at a file's end, is not part of it. No error tells any of it.
func ReadToken(where string, lookup func(string) (string, bool)) (Token, error) {
	scheme, name, _ := strings.Cut(where, ":")
	var text string
	switch {
	case name != "" && scheme == "env":
		found, ok := lookup(name)
		if !ok {
			return Token{}, fmt.Errorf("environment variable %s is not set", name)
		}
		text = found
	case name != "" && scheme == "file":
		found, err := os.ReadFile(name)
		if err != nil {
			return Token{}, err
		}
		text = string(found)
	default: // it may be the token itself
		return Token{}, errors.New("want env:VARIABLE or file:PATH")
	}
	text = strings.TrimSpace(text)
	if err := checkToken(text); err != nil {
		return Token{}, fmt.Errorf("%s: %w", where, err)
	}
	return Token{text: secret.New([]byte(text))}, nil
}

// checkToken keeps out what a header cannot carry, or would split.
func checkToken(text string) error {
	switch {
	case text == "":
		return errors.New("no token in it")
	case len(text) > maxToken:
		return fmt.Errorf("a token of %d bytes, more than %d", len(text), maxToken)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("no token: want visible characters of ASCII")
	}
	return nil
}

// addTo adds the token, unless the client sent something of its own.
func (t Token) addTo(h http.Header) {
	if _, own := h["Authorization"]; own {
		return
	}
	_ = t.text.Use(func(b []byte) error { // a Token without a text adds nothing
		h.Set("Authorization", "Bearer "+string(b))
		return nil
	})
}
