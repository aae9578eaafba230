package pgurl_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://u@h/d":                                    "d on h:5432 as u, verify-full",
		"postgresql://u:p@H:1/d?sslmode=require":              "d on H:1 as u, require",
		"postgres://u@[::1]/d":                                "d on [::1]:5432 as u, verify-full",
		"postgres://u@/d?host=/run/pg&password=x":             "d on /run/pg as u, disable",
		"postgres://u@h/d?sslmode=prefer":                     "sslmode prefer would use TLS or not",
		"postgres://u@h/d?sslmode=on":                         "want sslmode verify-full, verify-ca, require or disable",
		"postgres://u@h/d?sslmode=require&sslmode=verify-ca":  `parameter "sslmode" stands there twice`,
		"postgres://u@h/d?sslrootcert=/x":                     `unknown parameter, want`,
		"postgres://u@h/d?options=-csynchronous_commit%3doff": `unknown parameter, want`,
		"postgres://u@h/d?host=/x":                            "with no other host",
		"postgres://u@/d?host=h":                              "for the directory of a unix socket",
		"postgres://u@/d?host=/x&sslmode=require":             "a unix socket has no TLS",
		"postgres://u@a,b/d":                                  "want exactly one host",
		"postgres://u@/d":                                     "want exactly one host",
		"postgres://h/d":                                      "want a user",
		"postgres://u@h":                                      "want a database",
		"postgres://u@h:0/d":                                  "want a port from 1 to 65535",
		"postgres://u:%zz@h/d":                                "want postgres://user@host:port/database",
		"mysql://u@h/d":                                       "want postgres://user@host:port/database",
		"postgres://u@h/d?a;b":                                "cannot be read",
	} {
		got, err := pgurl.Parse(text)
		said := fmt.Sprintf("%v, %s", got, got.SSLMode)
		if err != nil {
			said = err.Error()
		}
		if !strings.Contains(said, want) {
			t.Errorf("%s: %s, want %s", text, said, want)
		}
	}
}

// TestParseKeepsPasswords: one whose & or ? was not escaped is cut there, and neither part is told.
func TestParseKeepsPasswords(t *testing.T) {
	for _, text := range []string{
		"postgres://u@h/d?password=abc&SECRET",
		"postgres://u@h/d?password=abc&SECRET&SECRET",
		"postgres://u:12?SECRET@h/d",
	} {
		if _, err := pgurl.Parse(text); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

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
