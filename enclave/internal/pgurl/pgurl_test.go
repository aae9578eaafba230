package pgurl_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
)

// TestPassword: it is told to who asks for it, wherever it stands, and not printed.
func TestPassword(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://u@h/d":                      "",
		"postgres://u:hu%2Fsh@h:1/d":            "hu/sh",
		"postgres://u@/d?host=/x&password=hush": "hush",
	} {
		got, err := pgurl.Parse(text)
		if err != nil || got.Password() != want {
			t.Errorf("%s: %q, %v, want %q", text, got.Password(), err, want)
		}
		if printed := fmt.Sprintf("%v %+v %s", got, got, got); strings.Contains(printed, "sh ") || strings.Contains(printed, "hush") {
			t.Errorf("%s is printed as %s", text, printed)
		}
	}
}
