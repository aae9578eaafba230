package main

import (
	"strings"
	"testing"
)

// TestExitCodes: scripts go by them, so that a command that does not exist must not look like one that succeeded.
func TestExitCodes(t *testing.T) {
	good, other := configFile(t, configNoop), configFile(t, configNoop+"log: {level: debug}\n")
	bad := configFile(t, "netwerk: hoodi\n")
	for _, test := range []struct {
		args  string
		code  int
		words string // on standard error
	}{
		{"", exitOK, ""},
		{"config", exitOK, ""},
		{"config check --help", exitOK, ""},
		{"version", exitOK, ""},
		{"config check -c " + good, exitOK, ""},
		{"bogus", exitUsage, `unknown command "bogus"`},
		{"config bogus", exitUsage, `unknown command "bogus"`},
		{"config check extra", exitUsage, `unknown command "extra"`},
		{"server extra", exitUsage, `unknown command "extra"`},
		{"version extra", exitUsage, `unknown command "extra"`},
		{"server --bogus", exitUsage, "unknown flag: --bogus"},
		{"config diff " + good, exitUsage, "accepts 2 arg(s), received 1"},
		{"config diff missing.yaml " + good, exitUsage, "missing.yaml"},
		{"config diff " + good + " " + bad, exitUsage, "netwerk: unknown key"},
		{"config diff " + good + " " + other, exitUnmeasured, "the digest is the same"},
		{"config check -c " + bad, exitUsage, "netwerk: unknown key"},
		{"config digest -c " + bad, exitUsage, "netwerk: unknown key"},
		{"server -c " + bad, exitUsage, "netwerk: unknown key"},
	} {
		var out, errs strings.Builder
		code := run(t.Context(), strings.Fields(test.args), &out, &errs)
		if code != test.code || !strings.Contains(errs.String(), test.words) || (test.words == "") != (errs.Len() == 0) {
			t.Errorf("%q: exit code %d, said %q; want %d and %q", test.args, code, errs.String(), test.code, test.words)
		}
	}
}
