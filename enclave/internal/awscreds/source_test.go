package awscreds

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/awshttp"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// TestNoNewCredentials: what is missing is named, and no SDK's error is handed on as a value.
func TestNoNewCredentials(t *testing.T) {
	text := func(body string) func(http.ResponseWriter) bool {
		return func(w http.ResponseWriter) bool { fmt.Fprint(w, body); return true }
	}
	sts, agent := routes()[0], routes()[1]
	for _, tc := range []struct {
		name     string
		identity wire.Identity
		refused  error
		routes   []wire.Route
		role     string
		change   func(*cloud)
		want     []string
	}{
		{"parent", noIdentity, errors.New("AWS_ROLE_ARN is not set"), routes(), "", nil, []string{"ask the parent for its token: AWS_ROLE_ARN is not set"}},
		{"answer without source", wire.Identity{}, nil, routes(), "", nil, []string{"ask the parent for its token: its answer has no source"}},
		{"STS refuses", webIdentity("canary-hush-0"), nil, routes(), "", nil, []string{"STS AssumeRoleWithWebIdentity of " + roleARN + ": ", "InvalidIdentityToken"}},
		{"no route to STS", webIdentity("canary-hush-1"), nil, []wire.Route{agent}, "", nil, []string{"STS AssumeRoleWithWebIdentity", "no egress route to sts.eu-central-1.amazonaws.com:443"}},
		{"STS without TLS", webIdentity("canary-hush-1"), nil, []wire.Route{{Name: "sts", Host: sts.Host, Port: 443, VsockPort: agentPort}}, "", nil, []string{"STS AssumeRoleWithWebIdentity", "server gave HTTP response to HTTPS client"}},
		{"agent refuses", podIdentity("canary-hush-0"), nil, routes(), "", nil, []string{"agent " + agentURL + ": ", "AccessDenied"}},
		{"no route to the agent", podIdentity("canary-hush-1"), nil, []wire.Route{sts}, "", nil, []string{"no egress route to 169.254.170.23:80"}},
		{
			"an agent elsewhere",
			wire.Identity{Source: wire.PodIdentity, Name: "http://evil.example/v1", Token: "canary-hush-1"},
			nil, routes(), "", nil,
			[]string{"no egress route to evil.example:80"},
		},
		{
			"an agent that is none",
			wire.Identity{Source: wire.PodIdentity, Name: "unix:///run/x", Token: "canary-hush-1"},
			nil, routes(), "", nil,
			[]string{"agent unix:///run/x: "},
		},
		{"no token and no route", noIdentity, nil, []wire.Route{sts}, "", nil, []string{
			"neither AWS_WEB_IDENTITY_TOKEN_FILE nor AWS_CONTAINER_CREDENTIALS_FULL_URI", "no egress route to 169.254.169.254:80",
		}},
		{"no role of the instance", noIdentity, nil, routes(), "", func(c *cloud) { c.answer = func(w http.ResponseWriter) bool { w.WriteHeader(404); return true } }, []string{"the instance's role", "404"}},
		{"no keys", podIdentity("canary-hush-1"), nil, routes(), "", func(c *cloud) { c.answer = text("{}") }, []string{"the answer holds no keys"}},
		{"old", podIdentity("canary-hush-1"), nil, routes(), "", func(c *cloud) { c.life = margin }, []string{"the answer's credentials end at 2000-01-01T00:00:10Z"}},
		{"no JSON", podIdentity("canary-hush-1"), nil, routes(), "", func(c *cloud) { c.answer = text("<html>") }, []string{"agent " + agentURL + ": "}},
		{"endless", podIdentity("canary-hush-1"), nil, routes(), "", func(c *cloud) { c.answer = text(`{"x":"` + strings.Repeat("x", awshttp.MaxAnswer)) }, []string{"the answer is too long"}},
		{"redirect", podIdentity("canary-hush-1"), nil, routes(), "", func(c *cloud) {
			c.answer = func(w http.ResponseWriter) bool {
				w.Header().Set("Location", "/v1/other")
				w.WriteHeader(302)
				return true
			}
		}, []string{"agent " + agentURL + ": "}},
		{"role that cannot be looked up", podIdentity("canary-hush-1"), nil, []wire.Route{agent}, roleARN, nil, []string{
			"see with STS GetCallerIdentity whether they are of tee.role_arn: ", "no egress route to sts.eu-central-1.amazonaws.com:443",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tc.identity, tc.routes, tc.role)
				r.says(tc.identity, tc.refused)
				if tc.change != nil {
					r.set(tc.change)
				}
				r.start(t)
				c, err := r.Retrieve(t.Context())
				if err == nil || c.HasKeys() {
					t.Fatalf("got %v, %v", c, err)
				}
				for _, want := range append(tc.want, "AWS credentials: ") {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error %v\nwant %q", err, want)
					}
				}
				if strings.Contains(err.Error(), "hush") {
					t.Errorf("a secret is in %v", err)
				}
				var answered interface{ ErrorCode() string }
				if errors.As(err, &answered) {
					t.Errorf("%T is handed on", answered)
				}
				if n := len(r.requests()); n > 2 {
					t.Errorf("%d requests: %q", n, r.requests())
				}
				if got := r.value(t, "containment_aws_credentials_refreshes_total", "failed"); got != 1 {
					t.Errorf("%v failures counted", got)
				}
			})
		})
	}
}
