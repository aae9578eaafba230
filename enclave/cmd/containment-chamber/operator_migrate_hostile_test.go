package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestMigrateCompareAnswers: what a signer answers to a request for a signature, and what becomes of the key.
func TestMigrateCompareAnswers(t *testing.T) {
	type sign = func(http.ResponseWriter, string) bool
	some := newOtherSigner(t, 9)
	foreign := "0x"
	for _, secret := range some.keys {
		made, err := secret.Sign([32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		foreign = made.String()
	}
	var tries atomic.Int64
	for name, test := range map[string]struct {
		old, new sign
		result   string // of the key
		words    string // in the table
	}{
		"text": {nil, nil, keyPassed, ""},
		"busy for a moment": {func(w http.ResponseWriter, key string) bool {
			return tries.Add(1) < 3 && answers(503, "", "Retry-After", "0")(w, key)
		}, nil, keyPassed, ""},
		"busy":              {answers(503, `{"message":"starting"}`, "Retry-After", "0"), nil, keyRefused, "old signer: status 503: starting; new signer: it signed"},
		"limited":           {nil, answers(429, "", "Retry-After", "0"), keyRefused, "new signer: status 429: it gives no reason"},
		"no signature":      {answers(200, `{"signature":"0x12"}`), nil, keyRefused, "status 200: the answer is no signature"},
		"no JSON":           {answers(200, `{"signature":`), nil, keyRefused, "status 200: the answer is no JSON"},
		"a page":            {nil, answers(200, "<html>"), keyRefused, "new signer: status 200: the answer is no signature"},
		"nothing":           {answers(200, ""), nil, keyRefused, "the answer is no signature"},
		"without end":       {answers(200, strings.Repeat(" ", 1<<20)), nil, keyRefused, "the answer is too long: more than 4096 bytes"},
		"a redirect":        {answers(307, "", "Location", "/elsewhere"), nil, keyRefused, "old signer: status 307"},
		"unknown":           {answers(404, ""), nil, keyRefused, "old signer: status 404: it gives no reason"},
		"slashing":          {nil, answers(412, `{"code":412,"message":"conflict","error":"e"}`), keyRefused, "new signer: status 412: conflict"},
		"Nimbus's words":    {answers(400, `{"error":"bad"}`), nil, keyRefused, "status 400: bad"},
		"text of a refusal": {answers(500, "a\x1b[2Jb\nc"), nil, keyRefused, `status 500: "a\ufffd[2Jb\ufffdc"`},
		"a long refusal":    {answers(500, strings.Repeat("no ", 1000)), nil, keyRefused, "no no no ...; new signer"},
		"another signature": {answers(200, foreign), nil, keyDifferent, "old signer: status 200: the signature does not verify under the key; new signer: it signed"},
		"no point":          {nil, answers(200, signature(7)), keyDifferent, "new signer: status 200: the signature does not verify"},
		"alike, and wrong":  {answers(200, foreign), answers(200, foreign), keyNotValid, "NOT VALID; old signer: status 200: the signature does not verify"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			old, signer := newOtherSigner(t, 1), newOtherSigner(t, 1, 2)
			old.sign, signer.sign = test.old, test.new
			oldURL, url := old.start().URL, signer.start().URL
			code, out, errs := compare(t, url, oldURL, "--output", "json")
			got := decoded(t, out)
			if test.result == keyPassed {
				if code != exitOK || got.Passed != 1 || len(got.Failed) != 0 || len(got.OnlyNew) != 1 {
					t.Errorf("exit code %d, %s%s", code, out, errs)
				}
				return
			}
			if code != exitFailure || got.Passed != 0 || len(got.Failed) != 1 || got.Failed[0].Result != test.result {
				t.Errorf("exit code %d, %s%s", code, out, errs)
			}
			if code, out, _ := compare(t, url, oldURL); code != exitFailure || !strings.Contains(out, test.words) || strings.Contains(out, "\x1b") {
				t.Errorf("exit code %d, no %q in\n%s", code, test.words, out)
			}
		})
	}
}

// TestMigrateCompareJSON: the form that Web3Signer answers in where JSON is asked for.
func TestMigrateCompareJSON(t *testing.T) {
	for text, ok := range map[string]bool{
		signature(1): true, signature(1)[2:]: true, "\n" + signature(1) + "\n": true, `{"signature":"` + signature(1) + `"}`: true, ` { "signature" : "` + signature(1) + `", "x": 1}`: true,
		`"` + signature(1) + `"`: false, signature(1) + "00": false, `{}`: false, `{"signature":1}`: false, `[]`: false, "0x": false, "": false,
	} {
		if sig, err := readSignature([]byte(text)); (err == nil) != ok || ok && sig.String() != signature(1) {
			t.Errorf("%s: %v %v", text, sig, err)
		}
	}
}

// TestMigrateCompareLists: a list that is not one ends the command before anything is asked for.
func TestMigrateCompareLists(t *testing.T) {
	_, public := rawKey(t, 1)
	for name, test := range map[string]struct {
		status      int
		body, words string
	}{
		"an object":       {200, `{"keys":[]}`, "the keys of the old signer: json: cannot unmarshal object"},
		"numbers":         {200, `[1]`, "the keys of the old signer: json: cannot unmarshal number"},
		"no key":          {200, `["` + public + `","0x12"]`, `the keys of the old signer: key 1: "0x12": public key is not 96 hexadecimal digits`},
		"cut off":         {200, `["` + public, "unexpected end of JSON input"},
		"null":            {200, `null`, "the keys of the old signer: it has none"},
		"empty":           {200, `[]`, "the keys of the old signer: it has none"},
		"another service": {404, `<html>`, "the keys of the old signer: <html> (status 404)"},
		"forbidden":       {403, `{"message":"Host not authorized."}`, "the keys of the old signer: Host not authorized. (status 403)"},
		"starting":        {503, `{"message":"starting"}`, "the keys of the old signer: starting (status 503)"},
		"twice the same":  {200, `["` + public + `","0x` + strings.ToUpper(public[2:]) + `"]`, ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			old, signer := newOtherSigner(t, 1), newOtherSigner(t, 1)
			old.list = lists(test.status, test.body)
			code, out, errs := compare(t, signer.start().URL, old.start().URL)
			if test.words == "" {
				if code != exitOK || !strings.Contains(out, "old signer              1 keys") {
					t.Errorf("exit code %d, %s%s", code, out, errs)
				}
				return
			}
			if code != exitFailure || !strings.Contains(errs, test.words) || out != "" {
				t.Errorf("exit code %d, %s%s, want %q", code, out, errs, test.words)
			}
		})
	}
}

// TestMigrateCompareRefuses: a command line that cannot be meant asks nobody.
func TestMigrateCompareRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty, other := file("empty", "# none\n"), file("other", "# passed: something else\n")
	_, public := rawKey(t, 1)
	keys := file("keys", public+"\n")
	for _, test := range []struct{ args, words string }{
		{"", "--old is needed, or --pubkeys"},
		{"--old http://a", "--signer-url is needed"},
		{"--old=", "--old: want a value"},
		{"--old http://a --allow-plaintext-old --signer-url http://a", "--old and --signer-url are one and the same"},
		{"--old http://A:80/ --allow-plaintext-old --signer-url http://a", "--old and --signer-url are one and the same"},
		{"--old https://u:p@a.:443 --signer-url https://a//", "--old and --signer-url are one and the same"},
		{"--old http://a --signer-url http://b --allow-plaintext-signer", "--old: over http anybody could answer in its place; --allow-plaintext-old allows it"},
		{"--old http://a --signer-url http://b --allow-plaintext-old", "--signer-url: over http anybody could answer in its place; --allow-plaintext-signer allows it"},
		{"--old ftp://a --signer-url https://b", "--old: want http://host:port"},
		{"--old https://a?x --signer-url https://b", "--old: want nothing after the path"},
		{"--old https://a --signer-url https://b --output yaml", `--output: "yaml"`},
		{"--old https://a --signer-url https://b --concurrency 0", "--concurrency: 0, want 1 to 256"},
		{"--old https://a --signer-url https://b --network hoodi --genesis-validators-root 0x00", "--network goes without --genesis-validators-root"},
		{"--old https://a --signer-url https://b --network goerli", `network "goerli" is not known`},
		{"--old https://a --signer-url https://b --genesis-validators-root 0x00", `--genesis-validators-root: "0x00" has 2 hexadecimal digits`},
		{"--old https://a --signer-url https://b --old-token env:NOT_SET", "environment variable NOT_SET is not set"},
		{"--old https://a --signer-url https://b --old-basic-auth user", "--old-basic-auth: want user:password"},
		{"--old https://a --signer-url https://b --old-basic-auth u:p --old-token t", "--old-token goes without --old-basic-auth"},
		{"--old https://a --signer-url https://b --old-client-cert c", "--old-client-cert goes with --old-client-key"},
		{"--old https://a --signer-url https://b --old-client-cert c --old-client-key k", "--old-client-cert, --old-client-key: "},
		{"--old https://a --signer-url https://b --old-ca " + filepath.Join(dir, "missing"), "--old-ca: "},
		{"--old https://a --signer-url https://b --old-ca " + empty, "has no certificate in PEM"},
		{"--old http://a --allow-plaintext-old --signer-url https://b --old-ca " + empty, "--old-ca and --old-client-cert go with https"},
		{"--signer-url https://b --pubkeys " + keys + " --old-token x", "--old-token goes with --old"},
		{"--signer-url https://b --pubkeys " + empty, "it names no key"},
		{"--signer-url https://b --pubkeys " + filepath.Join(dir, "missing"), "--pubkeys: "},
		{"--signer-url http://b --allow-plaintext-signer --policy p --pubkeys " + keys, "--policy goes with https"},
		{"extra", "unknown command"},
	} {
		code, out, errs := command(t, append([]string{"operator", "migrate", "compare"}, strings.Fields(test.args)...)...)
		if code != exitUsage || !strings.Contains(errs, test.words) || out != "" {
			t.Errorf("%s: exit code %d, %q, %q; want %q", test.args, code, out, errs, test.words)
		}
	}
	old, signer := newOtherSigner(t, 1), newOtherSigner(t, 1)
	code, _, errs := compare(t, signer.start().URL, old.start().URL, "--resume", other)
	if code != exitUsage || !strings.Contains(errs, "it is of another comparison") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != "# passed: something else\n" {
		t.Errorf("the file of something else was changed: %q %v", text, err)
	}
}
