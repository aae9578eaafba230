package app

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/openapi"
)

// described is a running signer beside the description of its API.
type described struct {
	*alone
	document map[string]any
	schemas  schemas
}

// startDescribed starts a signer that has every call but those of attested TLS. environ is more of its configuration.
func startDescribed(t *testing.T, environ ...string) *described {
	t.Helper()
	for _, name := range []string{
		"HTTP__EXPERIMENTAL__BATCH_SIGN", "HTTP__KEY_MANAGER_API__ENABLED", "ANTI_SLASHING__API", "KEY_SOURCES__DATABASE__ENABLED",
		"CHAMBER__KEYS__GENERATE__ENABLED",
	} {
		environ = append(environ, "CONTAINMENT_"+name+"=true")
	}
	return newDescribed(startAlone(t, startVault(t).configuration(), environ...))
}

func newDescribed(a *alone) *described {
	a.t.Helper()
	a.token = "" // each test says who asks
	d := &described{alone: a, document: decodeYAML(a.t, openapi.Text())}
	d.schemas = schemas{d.at("components", "schemas")}
	return d
}

// as is the signer, asked with a token.
func (d *described) as(token string) *described {
	with := *d.alone
	with.token = token
	return &described{alone: &with, document: d.document, schemas: d.schemas}
}

// client makes a client token with one policy of these rules, in JSON.
func (d *described) client(name, rules string) string {
	d.t.Helper()
	manager := d.as(d.root)
	status, _, body := manager.ask(http.MethodPut, d.main+"/api/v1/chamber/auth/policies/"+name, "", `{"rules":`+rules+`}`)
	if status != http.StatusOK {
		d.t.Fatalf("policy %s: %d %s", name, status, body)
	}
	status, _, body = manager.ask(http.MethodPost, d.main+"/api/v1/chamber/auth/tokens", "", `{"name":"`+name+`","policies":["`+name+`"]}`)
	if status != http.StatusOK {
		d.t.Fatalf("token %s: %d %s", name, status, body)
	}
	return decodeJSON(d.t, body).(map[string]any)["token"].(string)
}

// at is an object in the document.
func (d *described) at(path ...string) map[string]any {
	d.t.Helper()
	return find(d.t, d.document, path...)
}

func find(t *testing.T, in map[string]any, path ...string) map[string]any {
	t.Helper()
	for _, name := range path {
		next, ok := in[name].(map[string]any)
		if !ok {
			t.Fatalf("the description has no %s", strings.Join(path, " "))
		}
		in = next
	}
	return in
}

// operations calls f for all operations but those that only attested TLS has; url is where the signer has it, with the loaded key in the path,
// or a policy and a token that there are not.
func (d *described) operations(f func(method, pattern, url string, operation map[string]any)) {
	d.t.Helper()
	for path, item := range d.at("paths") {
		for name, operation := range item.(map[string]any) {
			operation, ok := operation.(map[string]any)
			if !ok || name == "servers" || operation["x-attested"] == true { // what is no object are the path's parameters
				continue
			}
			url := d.main
			if path == "/metrics" {
				url = d.meters
			}
			method := strings.ToUpper(name)
			f(method, method+" "+path, url+strings.NewReplacer("{identifier}", publicKey, "{pubkey}", publicKey, "{name}", "absent", "{id}", "0123456789abcdef").Replace(path), operation)
		}
	}
}

// conforms checks an answer against the description of its operation.
func (d *described) conforms(operation map[string]any, status int, header http.Header, body string) {
	d.t.Helper()
	response := find(d.t, operation, "responses", strconv.Itoa(status))
	if name, ok := response["$ref"].(string); ok {
		response = d.at("components", "responses", strings.TrimPrefix(name, "#/components/responses/"))
	}
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		d.t.Errorf("Content-Type %q: %v", header.Get("Content-Type"), err)
	}
	content := find(d.t, response, "content", media)
	var value any = body
	if media == "application/json" {
		value = decodeJSON(d.t, body)
	}
	schema, ok := content["schema"].(map[string]any)
	if !ok { // a file of another form
		return
	}
	if err := d.schemas.check(schema, value, operation["operationId"].(string)); err != nil {
		d.t.Errorf("the answer %d %.200s is not as described: %v", status, body, err)
	}
}
