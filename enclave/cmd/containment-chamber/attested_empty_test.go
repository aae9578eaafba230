package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestEmptyFlagsAreRefused: a variable that is not set does not make a signer an ordinary one, nor a policy a weaker one.
func TestEmptyFlagsAreRefused(t *testing.T) {
	e := newEnclave(t)
	document := e.write("d.cose", e.document(e.binding(), nil))
	t.Setenv("XDG_CONFIG_HOME", e.dir)
	for command, flags := range map[string][]string{
		"operator status --signer-url https://127.0.0.1:1":     {flagPolicy, flagTrustFile, flagRoot, flagAuthority},
		"slashing status --signer-url https://127.0.0.1:1":     {flagPolicy, flagTrustFile, flagRoot, flagAuthority},
		"attest verify " + document:                            {flagPolicy, flagRoot},
		"attest fetch https://127.0.0.1:1":                     {flagPolicy, flagRoot},
		"attest trust replace https://127.0.0.1:1":             {flagPolicy, flagTrustFile, flagRoot},
		"attest policy --from-signer https://127.0.0.1:1":      {flagRoot},
		"attest policy --max-age 1h --from-eif " + e.rootFile:  policyStrings(t),
		"attest policy --min-build 1.0.0 --from-eif " + e.dir:  policyStrings(t),
		"attest policy --allow-any-signed-build --label label": policyStrings(t),
	} {
		for _, flag := range flags {
			code, out, errs := saying(t, command, "--"+flag+"=")
			if code != exitUsage || out != "" || !strings.Contains(errs, "--"+flag+": want ") || !strings.Contains(errs, ", and it is empty") {
				t.Errorf("%s --%s=: exit code %d, said %q", command, flag, code, errs)
			}
		}
	}
	if code, _, errs := saying(t, "attest policy --from-eif "+e.rootFile, "--max-age=0s"); code != exitUsage || !strings.Contains(errs, "--max-age: 0s") {
		t.Errorf("exit code %d, said %q", code, errs)
	}
}

// policyStrings are all flags of "attest policy" that take a text.
func policyStrings(t *testing.T) (names []string) {
	t.Helper()
	newAttestPolicy().Flags().VisitAll(func(f *pflag.Flag) {
		if f.Value.Type() == "string" {
			names = append(names, f.Name)
		}
	})
	if len(names) < 10 {
		t.Fatalf("only %q", names)
	}
	return names
}

func saying(t *testing.T, words string, further ...string) (code int, out, errs string) {
	t.Helper()
	return command(t, append(strings.Fields(words), further...)...)
}

// TestNoPlaceToRemember: where nothing can be looked up, it is said that an enclave may pass for an ordinary signer; a flag says
// how it is meant.
func TestNoPlaceToRemember(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	e := newEnclave(t)
	s := e.serve(http.HandlerFunc(echo))
	const warning = "is not looked at, and its certificate is judged as an ordinary one"
	for name, test := range map[string]struct {
		flags  []string
		warned bool
	}{
		"nothing is said": {nil, true},
		"a no":            {[]string{"--trust-on-first-use=false"}, true},
		"a policy":        {[]string{"--policy", e.policy("p.yaml")}, false},
		"a trust file":    {[]string{"--trust-file", e.trustFile}, false},
		"an authority":    {[]string{"--signer-ca", e.rootFile}, false},
	} {
		_, errs, err := reach(t, s.URL, test.flags...)
		if err != nil || strings.Contains(errs.String(), warning) != test.warned {
			t.Errorf("%s: %v, said %q", name, err, errs)
		}
	}
}
