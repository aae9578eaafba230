package awscreds

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// TestHostileEnvironment: whatever stands in the environment, the same requests are made, and the same credentials come of them.
func TestHostileEnvironment(t *testing.T) {
	run := func(t *testing.T, identity wire.Identity) (all []string) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, identity, routes(), roleARN)
			r.start(t)
			c, err := r.Retrieve(t.Context())
			if err != nil || c.AccessKeyID != "ASIA1" {
				t.Errorf("got %s, %v", c.AccessKeyID, err)
			}
			all = r.requests()
		})
		return all
	}
	identities := []wire.Identity{webIdentity("canary-hush-1"), podIdentity("canary-hush-1"), noIdentity}
	var want []string
	for _, identity := range identities {
		want = append(want, run(t, identity)...)
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAEVIL", "AWS_SECRET_ACCESS_KEY": "evil", "AWS_SESSION_TOKEN": "evil", "AWS_PROFILE": "evil", "AWS_CONFIG_FILE": "/evil",
		"AWS_SHARED_CREDENTIALS_FILE": "/evil", "AWS_REGION": "us-evil-1", "AWS_DEFAULT_REGION": "us-evil-1", "AWS_ROLE_ARN": "arn:aws:iam::666666666666:role/evil",
		"AWS_ROLE_SESSION_NAME": "evil", "AWS_WEB_IDENTITY_TOKEN_FILE": "/evil", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "evil",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/evil", "AWS_ENDPOINT_URL": "http://evil.example", "AWS_ENDPOINT_URL_STS": "http://evil.example",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://evil.example", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6",
		"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_STS_REGIONAL_ENDPOINTS": "legacy", "AWS_CA_BUNDLE": "/evil",
		"AWS_EXECUTION_ENV": "evil", "AWS_SDK_UA_APP_ID": "evil", "AWS_LAMBDA_FUNCTION_NAME": "evil", "_X_AMZN_TRACE_ID": "evil", "AWS_NEW_RETRIES_2026": "true",
		"HTTP_PROXY": "http://evil.example", "HTTPS_PROXY": "http://evil.example", "ALL_PROXY": "http://evil.example",
	} {
		t.Setenv(name, value)
	}
	var got []string
	for _, identity := range identities {
		got = append(got, run(t, identity)...)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 2+2+4 {
		t.Errorf("%d requests, the environment changed (-without +with):\n%s", len(want), diff)
	}
	if slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "evil") }) {
		t.Errorf("the environment is in %q", got)
	}
}
