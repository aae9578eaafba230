package connect_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/connect"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

const canary = "cc_token_7f3a-canary.~+/="

func readToken(t *testing.T, text string) connect.Token {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	check(t, os.WriteFile(file, []byte(text), 0o600))
	token, err := connect.ReadToken("file:"+file, nil)
	check(t, err)
	return token
}

// TestToken is added unless the client sent one of its own, and stands in no log, error or metric.
func TestToken(t *testing.T) {
	s := enclave(t, newHypervisor(t, nil, image()), reflecting(t)).start(t)
	token := readToken(t, canary+"\n")
	p := join(t, s, func(o *connect.Options, _ *atls.TransportOptions) { o.Token = token })
	if got := p.reflected(http.MethodPost, signPath, "{}").Header["Authorization"]; len(got) != 1 || got[0] != "Bearer "+canary {
		t.Errorf("the signer got %q", got)
	}
	if got := p.reflected(http.MethodPost, signPath, "{}", "Authorization", "Basic eDp5").Header["Authorization"]; len(got) != 1 || got[0] != "Basic eDp5" {
		t.Errorf("the signer got %q in place of the client's own", got)
	}
	s.stop()
	p.refusedWith(503)
	families, err := p.registry.Gather()
	check(t, err)
	for what, text := range map[string]string{
		"log": fmt.Sprint(p.logs.All()), "metrics": fmt.Sprint(families), "printed": fmt.Sprintf("%v %+v %#v %s %x", token, token, token, token, token),
	} {
		if strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", "canary")) {
			t.Errorf("the token stands in the %s: %s", what, text)
		}
	}
}

func TestReadToken(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		file := filepath.Join(dir, fmt.Sprint(len(text)))
		check(t, os.WriteFile(file, []byte(text), 0o600))
		return "file:" + file
	}
	environ := map[string]string{"GOOD": canary, "EMPTY": "", "TWO": canary + " " + canary, "SPLIT": canary + "\r\nX-Other: 1", "WIDE": canary + "ü"}
	for name, test := range map[string]struct{ where, words string }{
		"variable":            {"env:GOOD", ""},
		"file":                {write("  " + canary + "\r\n"), ""},
		"unset variable":      {"env:UNSET", "environment variable UNSET is not set"},
		"empty variable":      {"env:EMPTY", "env:EMPTY: no token in it"},
		"empty file":          {write(" \n"), "no token in it"},
		"no file":             {"file:" + filepath.Join(dir, "none"), "no such file"},
		"directory":           {"file:" + dir, "is a directory"},
		"two tokens":          {"env:TWO", "want visible characters of ASCII"},
		"header split":        {"env:SPLIT", "want visible characters of ASCII"},
		"other letters":       {"env:WIDE", "want visible characters of ASCII"},
		"too long":            {write(strings.Repeat(canary, 200)), "more than 4096"},
		"token itself":        {canary, "want env:VARIABLE or file:PATH"},
		"variable of no name": {"env:", "want env:VARIABLE or file:PATH"},
		"other scheme":        {"vault:" + canary, "want env:VARIABLE or file:PATH"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connect.ReadToken(test.where, func(name string) (string, bool) { v, ok := environ[name]; return v, ok })
			if (err == nil) != (test.words == "") || err != nil && (!strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), "canary")) {
				t.Errorf("got %v, want %q", err, test.words)
			}
		})
	}
}
