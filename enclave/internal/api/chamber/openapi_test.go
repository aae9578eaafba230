package chamber_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/openapi"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

// operation is what the description says of a call.
type operation struct {
	Chamber  bool   `yaml:"x-chamber"`
	Scope    string `yaml:"x-scope"`
	Security []map[string][]string
	Body     struct {
		Content map[string]struct {
			Schema struct {
				Ref string `yaml:"$ref"`
			}
			Examples map[string]struct{ Value map[string]any }
		}
	} `yaml:"requestBody"`
	Responses map[string]any
}

type schema struct {
	Required   []string
	Properties map[string]any
	OneOf      []struct {
		Ref string `yaml:"$ref"`
	} `yaml:"oneOf"`
}

type description struct {
	Paths      map[string]map[string]yaml.Node
	Components struct{ Schemas map[string]schema }
}

func described(t *testing.T) (d description, calls map[string]operation) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(openapi.Text()), &d); err != nil {
		t.Fatal(err)
	}
	calls = map[string]operation{}
	for path, methods := range d.Paths {
		for method, node := range methods {
			if method == "servers" || method == "parameters" {
				continue
			}
			var o operation
			if err := node.Decode(&o); err != nil {
				t.Fatal(err)
			}
			if o.Chamber {
				calls[strings.ToUpper(method)+" "+path] = o
			}
		}
	}
	return d, calls
}

// fields are the names of a schema's fields, or of those of its choices.
func (d description) fields(ref string) []string {
	s := d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
	names := maps.Clone(s.Properties)
	for _, choice := range s.OneOf {
		for _, name := range d.fields(choice.Ref) {
			if names == nil {
				names = map[string]any{}
			}
			names[name] = nil
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// filled is a path with values in it.
func filled(path, id string) string {
	return strings.NewReplacer("{name}", "duties", "{id}", id, "{pubkey}", nobody).Replace(path)
}

// TestTheDescriptionHasEveryRoute, and no other, with the codes that each call has.
func TestTheDescriptionHasEveryRoute(t *testing.T) {
	_, calls := described(t)
	var registered []string
	there := initialized(t, nil)
	routes.New(routes.Options{Importer: there.Importer, Changer: there.Stored, Lister: there.Stored, Generator: there.Maker}).Register(recorder(func(pattern string) { registered = append(registered, pattern) }))
	slices.Sort(registered)
	if diff := cmp.Diff(registered, slices.Sorted(maps.Keys(calls))); diff != "" {
		t.Errorf("-registered +described:\n%s", diff)
	}
	for pattern, o := range calls {
		if setup := pattern == "POST "+routes.RouteInit || pattern == "POST "+routes.RouteRestore; setup != (o.Scope == "setup") {
			t.Errorf("%s: x-scope %s", pattern, o.Scope)
		}
		for _, code := range []string{"200", "400", "401", "403", "503"} {
			if o.Responses[code] == nil {
				t.Errorf("%s: %s is not described", pattern, code)
			}
		}
	}
}

// TestTheDescriptionHasEveryField: a request of nothing but an unknown field is told the fields there are, and those are the described ones.
func TestTheDescriptionHasEveryField(t *testing.T) {
	d, calls := described(t)
	there := initialized(t, nil)
	for pattern, o := range calls {
		method, route, _ := strings.Cut(pattern, " ")
		if method == "GET" || route == routes.RouteRestore {
			continue
		}
		at, token := there, there.root
		if route == routes.RouteInit {
			at = newDesk(t, &chambertest.World{}, nil)
			token = at.Chamber.SetupToken()
		}
		want := "there are none"
		if s := o.Body.Content["application/json"].Schema.Ref; s != "" {
			want = "want " + strings.Join(d.fields(s), ", ")
		}
		at.refused(pattern, at.ask(method, filled(route, "0123456789abcdef"), token, `{"no such field": 1}`), 400, want)
	}
}

// clientToken makes a policy and a token that has it, whose id it returns; on a signer without a chamber it makes none.
func (d *desk) clientToken() string {
	d.t.Helper()
	if d.root == "" {
		return ""
	}
	var made routes.ClientToken
	d.ok("PUT", routes.RoutePolicies+"/duties", d.root, `{"rules":[{"effect":"allow"}]}`, &auth.Policy{})
	d.ok("POST", routes.RouteTokens, d.root, `{"name":"vc","policies":["duties"]}`, &made)
	return made.ID
}

// TestTheExamplesAreTaken: none is refused for what it is, but for what there is not.
func TestTheExamplesAreTaken(t *testing.T) {
	_, calls := described(t)
	examples := 0
	for pattern, o := range calls {
		method, route, _ := strings.Cut(pattern, " ")
		for name, e := range o.Body.Content["application/json"].Examples {
			examples++
			d := initialized(t, func(of *chamber.Options, to *routes.Options) {
				of.AllowedKeys = append(of.AllowedKeys, "arn:aws:kms:eu-central-1:111122223333:key/0f3cbd2e-9d1c-4d3a-8b43-6f2f3f7a1c55")
				to.KMSKeyARNs = of.AllowedKeys
			})
			token := d.root
			if route == routes.RouteInit {
				d = newDesk(t, &chambertest.World{}, func(of *chamber.Options, to *routes.Options) {
					of.AllowedKeys = append(of.AllowedKeys, "arn:aws:kms:eu-central-1:111122223333:key/0f3cbd2e-9d1c-4d3a-8b43-6f2f3f7a1c55")
					to.KMSKeyARNs = of.AllowedKeys
				})
				token = d.Chamber.SetupToken()
			}
			w := d.ask(method, filled(route, d.clientToken()), token, encode(e.Value))
			var refused struct{ Message string }
			_ = json.Unmarshal(w.Body.Bytes(), &refused) // an answer of another form has none
			absent := strings.Contains(refused.Message, "there is no root token") || strings.Contains(refused.Message, "is not approved") ||
				strings.Contains(refused.Message, "only while all keys are frozen")
			if w.Code != 200 && !absent {
				t.Errorf("%s, example %s: %d %s", pattern, name, w.Code, w.Body)
			}
		}
	}
	if examples < 15 {
		t.Errorf("%d examples", examples)
	}
}
