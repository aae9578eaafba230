package app

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// startGuarded is a signer with a chamber whose every call needs a token, and all calls on.
func startGuarded(t *testing.T) *alone {
	t.Helper()
	a := startAlone(t, startVault(t).configuration(), "CONTAINMENT_AUTH__MODE=policies", "CONTAINMENT_HTTP__KEY_MANAGER_API__ENABLED=true",
		"CONTAINMENT_HTTP__EXPERIMENTAL__BATCH_SIGN=true", "CONTAINMENT_ANTI_SLASHING__API=true", storedKeysOn)
	a.write("keys/second.yaml", descriptorOf(secondSecret))
	a.reload()
	a.token = ""
	return a
}

// client makes a policy and a client token that has it.
func (a *alone) clientToken(name, rules string) string {
	a.t.Helper()
	before := a.token
	a.token = a.root
	defer func() { a.token = before }()
	if status, _, body := a.ask(http.MethodPut, a.main+"/api/v1/chamber/auth/policies/"+name, "", `{"rules":`+rules+`}`); status != http.StatusOK {
		a.t.Fatalf("policy %s: %d %s", name, status, body)
	}
	status, _, body := a.ask(http.MethodPost, a.main+"/api/v1/chamber/auth/tokens", "", `{"name":"`+name+`","policies":["`+name+`"]}`)
	if status != http.StatusOK {
		a.t.Fatalf("token %s: %d %s", name, status, body)
	}
	return decodeJSON(a.t, body).(map[string]any)["token"].(string)
}

func (a *alone) as(token, method, path, body string) (int, string) {
	a.t.Helper()
	before := a.token
	a.token = token
	defer func() { a.token = before }()
	status, _, text := a.ask(method, a.main+path, "", body)
	return status, text
}

const exitRequest = `{"type":"VOLUNTARY_EXIT","fork_info":{"fork":{"previous_version":"0x60000910","current_version":"0x70000910","epoch":"0"},"genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"},"voluntary_exit":{"epoch":"1","validator_index":"1"}}`

// TestATokenOfOneKey signs with it and with no other, and sees no other.
func TestATokenOfOneKey(t *testing.T) {
	a := startGuarded(t)
	one := a.clientToken("one", `[{"effect":"allow","scopes":["sign","list_keys"],"keys":["`+publicKey+`"]}]`)
	exits := a.clientToken("exits", `[{"effect":"allow","operations":["VOLUNTARY_EXIT"]}]`)
	sign := "/api/v1/eth2/sign/"
	got := map[string]int{}
	for name, c := range map[string]struct{ token, method, path, body string }{
		"its key":              {one, "POST", sign + publicKey, randao(1)},
		"its key, bare":        {one, "POST", sign + publicKey[2:], randao(1)},
		"its key in capitals":  {one, "POST", sign + "0x" + strings.ToUpper(publicKey[2:]), randao(1)},
		"another key":          {one, "POST", sign + secondKey, randao(1)},
		"a key that is not":    {one, "POST", sign + "0x" + strings.Repeat("ab", 48), randao(1)},
		"its exit":             {one, "POST", sign + publicKey, exitRequest},
		"an exit by who may":   {exits, "POST", sign + secondKey, exitRequest},
		"a duty by who exits":  {exits, "POST", sign + secondKey, randao(1)},
		"nobody":               {"", "POST", sign + publicKey, randao(1)},
		"nobody's list":        {"", "GET", "/api/v1/eth2/publicKeys", ""},
		"management":           {a.root, "POST", sign + publicKey, randao(1)},
		"a policy":             {one, "PUT", "/api/v1/chamber/auth/policies/one", `{"rules":[{"effect":"allow"}]}`},
		"a token":              {one, "POST", "/api/v1/chamber/auth/tokens", `{"name":"mine","policies":["one"]}`},
		"import":               {one, "POST", "/eth/v1/keystores", `{"keystores":[],"passwords":[]}`},
		"the slashing record":  {one, "GET", "/api/v1/slashing/export", ""},
		"another root token":   {one, "POST", "/api/v1/chamber/operator/generate-root-token", ""},
		"the chamber's backup": {one, "GET", "/api/v1/chamber/operator/backup", ""},
	} {
		got[name], _ = a.as(c.token, c.method, c.path, c.body)
	}
	want := map[string]int{
		"its key": 200, "its key, bare": 200, "its key in capitals": 200, "another key": 403, "a key that is not": 403, "its exit": 403, "an exit by who may": 200,
		"a duty by who exits": 403, "nobody": 401, "nobody's list": 401, "management": 403, "a policy": 403, "a token": 403, "import": 403,
		"the slashing record": 403, "another root token": 403, "the chamber's backup": 403,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, body := a.as(one, "GET", "/api/v1/eth2/publicKeys", ""); body != `["`+publicKey+`"]` {
		t.Errorf("public keys: %s", body)
	}
	if _, body := a.as(one, "GET", "/eth/v1/keystores", ""); !strings.Contains(body, publicKey) || strings.Contains(body, secondKey) {
		t.Errorf("keystores: %s", body)
	}
	_, body := a.as(one, "POST", "/api/v1/eth2/sign", `{"identifiers":["`+secondKey+`","`+publicKey+`"],"signing_request":`+randao(2)+`}`)
	results := decodeJSON(t, body).([]any)
	first, second := results[0].(map[string]any), results[1].(map[string]any)
	if first["signature"] != nil || first["error"].(map[string]any)["code"] != 403.0 || second["signature"] == nil {
		t.Errorf("batch: %s", body)
	}
}

// send writes a request as it stands and returns the status of the answer, 0 if there is none.
func (a *alone) send(request string) int {
	a.t.Helper()
	c, err := new(net.Dialer).DialContext(a.t.Context(), "tcp", strings.TrimPrefix(a.main, "http://"))
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, request); err != nil {
		return 0
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// TestOtherSpellingsOpenNothing: a path that is written otherwise, and headers that another server might take for who somebody is, or for
// another path, give nobody what the plain request does not.
func TestOtherSpellingsOpenNothing(t *testing.T) {
	a := startGuarded(t)
	token := a.clientToken("sign", `[{"effect":"allow","scopes":["sign"]}]`)
	for _, path := range []string{
		"/api/v1/chamber/auth/tokens", "//api/v1/chamber/auth/tokens", "/api//v1/chamber/auth/tokens", "/api/v1/chamber/auth/tokens/", "/./api/v1/chamber/auth/tokens",
		"/upcheck/../api/v1/chamber/auth/tokens", "/api/v1/eth2/../chamber/auth/tokens", "/api/v1/chamber/auth%2ftokens", "/api/v1/chamber%2Fauth/tokens",
		"/%61pi/v1/chamber/auth/tokens", "/api/v1/chamber/auth/tokens%00", "/api/v1/chamber/auth/tokens;x", "/API/v1/chamber/auth/tokens", "/api/v1/Chamber/Auth/Tokens",
		"/api/v1/chamber/auth/tokens?x=/upcheck", "/api/v1/chamber/auth/tokens#/upcheck", "http://other/api/v1/chamber/auth/tokens", "/healthcheck/..;/api/v1/chamber/auth/tokens",
		"*", "/api/v1/eth2/publicKeys/../../chamber/auth/tokens",
	} {
		for who, header := range map[string]string{"nobody": "", "a client": "Authorization: Bearer " + token + "\r\n"} {
			if status := a.send("GET " + path + " HTTP/1.1\r\nHost: signer\r\nConnection: close\r\n" + header + "\r\n"); status >= 200 && status < 300 {
				t.Errorf("%s by %s: %d", path, who, status)
			}
		}
	}
	const path = "/api/v1/eth2/publicKeys"
	for _, headers := range []string{
		"Authorization : Bearer TOKEN\r\n", "Authorization\t: Bearer TOKEN\r\n", "X: y\r\n Authorization: Bearer TOKEN\r\n",
		"Authorization: Bearer TOKEN\r\nAuthorization: Bearer TOKEN\r\n", "Authorization: Bearer x\r\nAuthorization: Bearer TOKEN\r\n", "Authorization: Bearer TOKEN, Bearer TOKEN\r\n",
		"Proxy-Authorization: Bearer TOKEN\r\n", "Cookie: token=TOKEN\r\n", "X-Forwarded-User: root\r\n", "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n",
		"X-Original-URL: /upcheck\r\nX-Rewrite-URL: /upcheck\r\n", "X-Client-Cert: TOKEN\r\n", "Upgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
	} {
		text := strings.ReplaceAll(headers, "TOKEN", token)
		if status := a.send("GET " + path + " HTTP/1.1\r\nHost: signer\r\nConnection: close\r\n" + text + "\r\n"); status >= 200 && status < 300 {
			t.Errorf("%q: %d", headers, status)
		}
	}
	// What is hidden in a body is no second request with the rights of the first.
	inner := "GET " + path + " HTTP/1.1\r\nHost: signer\r\n\r\n"
	smuggled := fmt.Sprintf("POST /reload HTTP/1.1\r\nHost: signer\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer %s\r\n\r\n0\r\n\r\n%s", len(inner)+5, token, inner)
	if status := a.send(smuggled); status >= 200 && status < 300 {
		t.Errorf("two lengths: %d", status)
	}
	if status := a.send("GET " + path + " HTTP/1.1\r\nHost: signer\r\nAuthorization: Bearer " + token + "\r\n\r\n"); status != http.StatusOK {
		t.Errorf("the plain request: %d", status)
	}
}

// TestRevokedTokens are refused from the answer of the revocation on, and the policy's change holds for requests that come next.
func TestRevokedTokens(t *testing.T) {
	a := startGuarded(t)
	token := a.clientToken("sign", `[{"effect":"allow","scopes":["sign"]}]`)
	list := func() int { status, _ := a.as(token, "GET", "/api/v1/eth2/publicKeys", ""); return status }
	if status := list(); status != http.StatusOK {
		t.Fatal(status)
	}
	if status, body := a.as(a.root, "PUT", "/api/v1/chamber/auth/policies/sign", `{"rules":[{"effect":"allow","scopes":["reload"]}]}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if status := list(); status != http.StatusForbidden {
		t.Errorf("with another policy: %d", status)
	}
	id := strings.Split(token, "-")[2]
	if status, body := a.as(a.root, "DELETE", "/api/v1/chamber/auth/tokens/"+id, ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if status := list(); status != http.StatusUnauthorized {
		t.Errorf("revoked: %d", status)
	}
	if status, _ := a.as(a.root, "DELETE", "/api/v1/chamber/auth/tokens/"+id, ""); status != http.StatusNotFound {
		t.Errorf("again: %d", status)
	}
}

// TestNothingSecretIsLogged at the most talkative level, whatever is asked with right and wrong secrets.
func TestNothingSecretIsLogged(t *testing.T) {
	a := startGuarded(t)
	const password = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑" // of the test vectors of EIP-2335
	text, err := os.ReadFile("../keystore/filesystem/testdata/eip2335-pbkdf2.json")
	if err != nil {
		t.Fatal(err)
	}
	keystore := string(text)
	token := a.clientToken("all", `[{"effect":"allow","scopes":["sign","list_keys","import_keystores","delete_keys","chamber_keys_import","chamber_status"]}]`)
	rotated, body := a.as(a.root, "POST", "/api/v1/chamber/auth/tokens/"+strings.Split(token, "-")[2]+"/rotate", `{"overlap_seconds":60}`)
	if rotated != http.StatusOK {
		t.Fatalf("%d %s", rotated, body)
	}
	second := decodeJSON(t, body).(map[string]any)["token"].(string)
	const wrong = "cc-client-0123456789abcdef-WRONGWRONGWRONGWRONGWRONGWRONGWRONGWRONGWRONGWRONGWRON"
	bodies := map[string]string{
		"/eth/v1/keystores":    encodeJSON(t, map[string]any{"keystores": []string{keystore, keystore, "{"}, "passwords": []string{password, "a-wrong-password", password}}),
		"/api/v1/chamber/keys": encodeJSON(t, map[string]any{"keystores": []string{keystore}, "passwords": []string{password}}),
	}
	for path, body := range bodies {
		for _, who := range []string{token, second, wrong, a.root, ""} {
			a.as(who, "POST", path, body)
			a.as(who, "POST", path, body[:len(body)-2]) // and cut
		}
	}
	for _, who := range []string{token, second, wrong, a.root} {
		a.as(who, "POST", "/api/v1/eth2/sign/"+publicKey, randao(1))
		a.as(who, "POST", "/api/v1/chamber/operator/unseal", "")
		a.as(who, "POST", "/api/v1/chamber/operator/init", `{"root_token":"`+wrong+`"}`)
		a.as(who, "GET", "/api/v1/operator/status", "")
		a.as(who, "GET", "/x/"+publicKey, "")
	}
	status, made := a.as(a.root, "POST", "/api/v1/chamber/operator/generate-root-token", "")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, made)
	}
	a.stop()
	if err := <-a.done; err != nil {
		t.Error(err)
	}
	a.done <- nil
	log := a.lines.String()
	if !strings.Contains(log, `"audit":"refused"`) || !strings.Contains(log, "all") {
		t.Fatalf("the log says nothing of this: %s", log)
	}
	const storedKey = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f" // in the keystore
	for name, secret := range map[string]string{
		"a client token": token, "a rotated one": second, "a wrong one": wrong, "the root token": a.root, "another root token": decodeJSON(t, made).(map[string]any)["root_token"].(string),
		"the operator's token": "an-operator-of-the-tests", "a password": password, "a wrong password": "a-wrong-password", "a key": secretKey, "a second key": secondSecret, "an imported key": storedKey,
	} {
		for form, text := range forms(secret) {
			if strings.Contains(log, string(text)) {
				t.Errorf("%s is in the log (%s)", name, form)
			}
		}
		if tail := secret[len(secret)-12:]; strings.Contains(log, tail) {
			t.Errorf("a part of %s is in the log: %s", name, tail)
		}
	}
}
