package app

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/openapi"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// otherKey is one that no test loads.
const otherKey = "0x93247f2209abcacf57b75a51dafae777f9dd38bc7053d1af526f220a7489a6d3a2753e5f3e8b1cfe39b56f43611df74a"

// TestTheDescriptionHasEveryRoute, and no other.
func TestTheDescriptionHasEveryRoute(t *testing.T) {
	d := startDescribed(t)
	registered := map[string]bool{}
	for _, message := range []string{"routes of the API", "routes of the metrics listener"} {
		for _, line := range d.lines.with(message) {
			for _, pattern := range line["routes"].([]any) {
				registered[pattern.(string)] = true
			}
		}
	}
	written := map[string]bool{}
	d.operations(func(method, pattern, url string, _ map[string]any) {
		written[pattern] = true
		if status, _, body := d.ask(method, url, "", ""); status == http.StatusMethodNotAllowed || strings.Contains(body, "no such path") {
			t.Errorf("%s: %d %s", pattern, status, body)
		}
	})
	if diff := cmp.Diff(slices.Sorted(maps.Keys(registered)), slices.Sorted(maps.Keys(written))); diff != "" {
		t.Errorf("routes (-registered +described):\n%s", diff)
	}
	status, header, body := d.ask(http.MethodGet, d.main+"/openapi.yaml", "", "")
	if status != 200 || header.Get("Content-Type") != "application/yaml" || body != openapi.Text() {
		t.Errorf("the description: %d %s, %d bytes", status, header.Get("Content-Type"), len(body))
	}
}

// TestTheExamplesAreTrue sends every example request, asks everything that takes none, and looks at what comes back. What the
// description shows as an answer has the form that it describes.
func TestTheExamplesAreTrue(t *testing.T) {
	d := startDescribed(t)
	client := d.client("duties", `[{"effect":"allow"},{"effect":"allow","operations":["VOLUNTARY_EXIT","DEPOSIT"]}]`)
	signed := map[string]bool{}
	d.operations(func(method, pattern, url string, operation map[string]any) {
		token := d.root
		switch operation["x-scope"] {
		case "none":
			token = ""
		case "sign", "public_keys":
			token = client
		}
		d := d.as(token)
		accepted := []string{"", "application/json"}
		if strings.Contains(pattern, " /api/v1/chamber/") {
			d.as("").unasked(method, pattern, url, operation)
			accepted = nil
		}
		for _, accept := range accepted {
			if operation["requestBody"] == nil {
				status, header, body := d.ask(method, url, accept, "")
				if status >= 300 && pattern != "POST /reload" { // which is busy the second time, or not
					t.Errorf("%s: %d %s", pattern, status, body)
				}
				d.conforms(operation, status, header, body)
				if strings.Contains(body, `"checks":`) {
					shown := find(t, operation, "responses", "200", "content", "application/json")["example"]
					if diff := cmp.Diff(parts(shown), parts(decodeJSON(t, body))); diff != "" {
						t.Errorf("%s: parts of the process (-shown +got):\n%s", pattern, diff)
					}
				}
				continue
			}
			content := find(t, operation, "requestBody", "content", "application/json")
			for name, example := range find(t, content, "examples") {
				request := example.(map[string]any)["value"]
				if err := d.schemas.check(find(t, content, "schema"), request, name); err != nil {
					t.Error(err)
				}
				status, header, body := d.ask(method, url, accept, encodeJSON(t, request))
				if status != 200 {
					t.Errorf("%s, example %s: %d %s", pattern, name, status, body)
					continue
				}
				d.conforms(operation, status, header, body)
				if kind, ok := request.(map[string]any)["type"].(string); ok {
					signed[kind] = true
				}
			}
		}
		for status, response := range find(t, operation, "responses") {
			d.shown(pattern+" "+status, response.(map[string]any))
		}
	})
	for name, response := range d.at("components", "responses") {
		d.shown(name, response.(map[string]any))
	}
	for _, kind := range d.kinds() {
		if !signed[kind] && kind != "BLOCK" { // another name of BLOCK_V2
			t.Errorf("no example of %s", kind)
		}
	}
}

// unasked looks at an operation of the chamber: its examples have the form that is described, and nothing is done without a token. What
// is done with one is seen in package api/chamber.
func (d *described) unasked(method, pattern, url string, operation map[string]any) {
	d.t.Helper()
	if requested, ok := operation["requestBody"].(map[string]any); ok {
		if content, ok := requested["content"].(map[string]any)["application/json"].(map[string]any); ok {
			for name, example := range find(d.t, content, "examples") {
				if err := d.schemas.check(find(d.t, content, "schema"), example.(map[string]any)["value"], name); err != nil {
					d.t.Errorf("%s: %v", pattern, err)
				}
			}
		}
	}
	status, header, body := d.ask(method, url, "", "")
	if status != http.StatusUnauthorized {
		d.t.Errorf("%s without a token: %d %s", pattern, status, body)
	}
	d.conforms(operation, status, header, body)
}

// parts are the checks that an answer of /healthcheck or /readyz names.
func parts(answer any) (ids []any) {
	for _, check := range answer.(map[string]any)["checks"].([]any) {
		ids = append(ids, check.(map[string]any)["id"])
	}
	return ids
}

// shown checks the example answers.
func (d *described) shown(where string, response map[string]any) {
	content, _ := response["content"].(map[string]any)
	for media, c := range content {
		c := c.(map[string]any)
		if example, ok := c["example"]; ok {
			if err := d.schemas.check(find(d.t, c, "schema"), example, where+" "+media); err != nil {
				d.t.Error(err)
			}
		}
	}
}

// kinds are the type names that the request schemas know.
func (d *described) kinds() (kinds []string) {
	for _, choice := range d.schemas.named["SignRequest"].(map[string]any)["oneOf"].([]any) {
		name := strings.TrimPrefix(choice.(map[string]any)["$ref"].(string), "#/components/schemas/")
		for _, kind := range find(d.t, d.schemas.named, name, "properties", "type")["enum"].([]any) {
			kinds = append(kinds, kind.(string))
		}
	}
	return kinds
}

// TestRefusalsAreAsDescribed: each status of the sign call has the body that is promised, and the one that is shown as its example.
func TestRefusalsAreAsDescribed(t *testing.T) {
	d := startDescribed(t)
	const route = "/api/v1/eth2/sign/{identifier}"
	sign := d.at("paths", route, "post")
	example := func(name string) string {
		return encodeJSON(t, find(t, sign, "requestBody", "content", "application/json", "examples", name)["value"])
	}
	vote := example("attestation")
	if status, _, body := d.ask(http.MethodPost, d.main+"/api/v1/eth2/sign/"+publicKey, "", vote); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	double := strings.Replace(vote, `"index":"0"`, `"index":"1"`, 1)
	double = strings.Replace(double, `"signingRoot"`, `"ignored"`, 1)
	for name, test := range map[string]struct {
		key, body string
		status    int
		shown     string // the response whose example this is
	}{
		"malformed":       {publicKey, "{", 400, "Malformed"},
		"another root":    {publicKey, strings.Replace(vote, `"index":"0"`, `"index":"1"`, 1), 400, ""},
		"another network": {publicKey, strings.Replace(example("randao_reveal"), "0x212f13fc", "0x00000000", 1), 403, "Forbidden"},
		"unknown key":     {otherKey, vote, 404, "UnknownKey"},
		"double vote":     {publicKey, double, 412, "Slashable"},
		"too large":       {publicKey, strings.Repeat(" ", 32<<20+1), 413, "TooLarge"},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := d.ask(http.MethodPost, d.main+"/api/v1/eth2/sign/"+test.key, "", test.body)
			if status != test.status {
				t.Fatalf("%d %.200s, want %d", status, body, test.status)
			}
			d.conforms(sign, status, header, body)
			if test.shown == "" {
				return
			}
			shown := d.at("components", "responses", test.shown, "content", "application/json")["example"]
			if diff := cmp.Diff(shown, decodeJSON(t, body)); diff != "" {
				t.Errorf("the answer (-shown +got):\n%s", diff)
			}
		})
	}
}

// TestEveryPathSaysWhichMethodsItHas, those for health included, which are there before the others.
func TestEveryPathSaysWhichMethodsItHas(t *testing.T) {
	d := startDescribed(t)
	d.operations(func(_, pattern, url string, _ map[string]any) {
		status, header, body := d.ask("PROPFIND", url, "", "")
		if status != http.StatusMethodNotAllowed || header.Get("Allow") == "" || !strings.Contains(body, `"code":405`) {
			t.Errorf("PROPFIND on %s: %d Allow %q %s", pattern, status, header.Get("Allow"), body)
		}
	})
	if status, _, body := d.ask(http.MethodPost, d.main+"/healthcheck", "", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("POST /healthcheck: %d %s", status, body)
	}
}

// TestAnEnclaveHasTheAPIBehindTLSAlone: its health listener, which is in clear, has nothing but health.
func TestAnEnclaveHasTheAPIBehindTLSAlone(t *testing.T) {
	c := startChamber(t, `{network: hoodi, tls: {mode: atls}, tee: {platform: simulated, simulated: {socket_dir: DIR, state_dir: DIR/nsm}},
log: {buffer_lines: 60}, key_sources: {filesystem: {paths: [DIR/keys]}}, anti_slashing: {backend: sqlite, sqlite: {path: DIR/s.sqlite}}}`)
	if err := os.Mkdir(filepath.Join(c.dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "keys", "k.yaml"), []byte(descriptorOf(secretKey)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.awaitReady()
	secured, clear := c.client(wire.PortAPI), c.client(wire.PortHealth)
	for _, test := range []struct {
		method, path   string
		secured, clear int
	}{
		{http.MethodGet, "/upcheck", 200, 200},
		{http.MethodGet, "/openapi.yaml", 200, 404},
		{http.MethodGet, "/api/v1/eth2/publicKeys", 200, 404},
		{http.MethodGet, "/api/v1/eth2/highWatermark", 200, 404},
		{http.MethodGet, "/.well-known/attestation", 200, 200},
		{http.MethodGet, "/.well-known/attestation?nonce=00", 400, 400},
		{http.MethodGet, "/.well-known/attestation?nonce=" + strings.Repeat("0a", 32), 200, 400},
		{http.MethodGet, "/reload", 401, 404}, // needs a token, of which there are none without a chamber
		{http.MethodPost, "/reload", 401, 404},
		{http.MethodPost, "/api/v1/eth2/sign", 404, 404}, // experimental, and not asked for
	} {
		if status, body := c.call(secured, test.method, "https://enclave"+test.path, ""); status != test.secured {
			t.Errorf("TLS: %s %s: %d %.100s, want %d", test.method, test.path, status, body, test.secured)
		}
		if status, body := c.call(clear, test.method, "http://enclave"+test.path, ""); status != test.clear {
			t.Errorf("health: %s %s: %d %.100s, want %d", test.method, test.path, status, body, test.clear)
		}
	}
}
