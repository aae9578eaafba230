package terraform_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms/kmstest"
)

// guard stands before the server and lets pass what an identity policy allows, as IAM does. Whatever table is behind it stands for the one of
// an ARN.
type guard struct {
	policy kmstest.IdentityPolicy
	arn    string

	mu     sync.Mutex      // held while the fields below are used
	used   map[string]bool // ACTION RESOURCE
	denied []string
}

func newGuard(t *testing.T, policy, arn string) (g *guard, url string) {
	t.Helper()
	parsed, err := kmstest.ParseIdentityPolicy([]byte(policy))
	if err != nil {
		t.Fatalf("%v: %s", err, policy)
	}
	g = &guard{policy: parsed, arn: arn, used: map[string]bool{}}
	server := httptest.NewServer(g)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return g, server.URL
}

// behind has options lead through a guard.
func behind(o dynamoclient.Options, url string) dynamoclient.Options {
	o.Endpoint = url
	return o
}

// ServeHTTP is one request.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	action, resource := "dynamodb:"+operation, g.resource(body)
	allowed, reason := g.policy.Allows(action, resource)
	g.mu.Lock()
	if allowed {
		g.used[action+" "+resource] = true
	} else {
		g.denied = append(g.denied, action+" "+resource+": "+reason)
	}
	g.mu.Unlock()
	if !allowed {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not authorized"}`))
		return
	}
	to, err := http.NewRequestWithContext(r.Context(), r.Method, shared.Endpoint()+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		return
	}
	to.Header = r.Header.Clone()
	said, err := onward.RoundTrip(to)
	if err != nil {
		return
	}
	defer said.Body.Close()
	w.WriteHeader(said.StatusCode)
	_, _ = io.Copy(w, said.Body)
}

// resource is what a request is about: the table or an index of it; "*" if it names none.
func (g *guard) resource(body []byte) string {
	var names struct{ TableName, IndexName string }
	if err := json.Unmarshal(body, &names); err != nil || names.TableName == "" {
		return "*"
	}
	if names.IndexName != "" {
		return g.arn + "/index/" + names.IndexName
	}
	return g.arn
}
