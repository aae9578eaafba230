package awscreds

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/awshttp"
)

func TestRole(t *testing.T) {
	for _, tc := range []struct {
		role, arn string // tee.role_arn, and whose credentials they are
		same      bool
	}{
		{roleARN, session, true},
		{"arn:aws:iam::111122223333:role/signer", session, true}, // a name is one role, whatever its path
		{"arn:aws-us-gov:iam::111122223333:role/signer", "arn:aws-us-gov:sts::111122223333:assumed-role/signer/i-0123456789", true},
		{roleARN, "arn:aws:sts::111122223333:assumed-role/other/s", false},
		{roleARN, "arn:aws:sts::111122223333:assumed-role/Signer/s", false},
		{roleARN, "arn:aws:sts::666666666666:assumed-role/signer/s", false},
		{roleARN, "arn:aws-cn:sts::111122223333:assumed-role/signer/s", false},
		{roleARN, "arn:aws:sts::111122223333:assumed-role/validators/signer/s", false},
		{roleARN, "arn:aws:sts::111122223333:assumed-role/other/signer", false},
		{roleARN, "arn:aws:sts::111122223333:federated-user/signer/s", false},
		{roleARN, "arn:aws:iam::111122223333:user/signer", false},
		{roleARN, roleARN, false},
		{roleARN, "arn:aws:iam::111122223333:root", false},
		{roleARN, "", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, podIdentity("canary-hush-1"), routes(), tc.role)
			r.set(func(c *cloud) { c.arn = tc.arn })
			r.start(t)
			c, err := r.Retrieve(t.Context())
			if tc.same && err != nil || !tc.same && (!errors.Is(err, ErrAnotherRole) || !strings.Contains(err.Error(), tc.role) || c.HasKeys()) {
				t.Errorf("%s for %s: %v", tc.arn, tc.role, err)
			}
			if got := r.value(t, "containment_aws_credentials_refreshes_total", "another_role"); (got == 1) == tc.same {
				t.Errorf("%s for %s: %v counted", tc.arn, tc.role, got)
			}
		})
	}
}

// TestWebIdentityOfAnotherRole: it is not even asked for.
func TestWebIdentityOfAnotherRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, webIdentity("canary-hush-1"), routes(), "arn:aws:iam::111122223333:role/signer")
		r.start(t)
		if _, err := r.Retrieve(t.Context()); !errors.Is(err, ErrAnotherRole) || !strings.Contains(err.Error(), "the parent has a token for "+roleARN) {
			t.Errorf("got %v", err)
		}
		if got := r.requests(); len(got) != 0 {
			t.Errorf("requests %q", got)
		}
	})
}

// TestSTSMustProveItself: one whose certificate nobody vouches for gets no token.
func TestSTSMustProveItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, webIdentity("canary-hush-1"), routes(), "")
		o := r.options
		o.RootCAs = x509.NewCertPool()
		client := awshttp.New(o.Dial, o.RootCAs)
		r.stsClient = sts.New(r.stsClient.Options(), func(o *sts.Options) { o.HTTPClient = client })
		r.start(t)
		if _, err := r.Retrieve(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
			t.Errorf("got %v", err)
		}
		if got := r.requests(); len(got) != 0 {
			t.Errorf("requests %q", got)
		}
	})
}

// TestClockThatIsOff: what STS tells with its refusal has the next try signed by its time.
func TestClockThatIsOff(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, podIdentity("canary-hush-1"), routes(), roleARN)
			r.set(func(c *cloud) { c.ahead = ahead })
			r.start(t)
			var refusals []error
			if err := r.Await(t.Context(), func(err error) { refusals = append(refusals, err) }); err != nil {
				t.Fatal(err)
			}
			if len(refusals) != 1 || !strings.Contains(refusals[0].Error(), "SignatureDoesNotMatch") {
				t.Errorf("STS %v ahead: %v", ahead, refusals)
			}
		})
	}
}

func TestParseRoleRefuses(t *testing.T) {
	for _, arn := range []string{
		"", "signer", "arn:aws:iam::111122223333:role/", "arn:aws:iam::111122223333:role/a/", "arn:aws:iam::111122223333:user/signer",
		"arn:aws:sts::111122223333:role/signer", "arn:aws:iam:x:111122223333:role/signer", "arn::iam::111122223333:role/signer", "arn:aws:iam:::role/signer",
		"arn:aws:iam::111122223333:role/a:b",
	} {
		if r, err := parseRole(arn); err == nil || r != (role{}) {
			t.Errorf("%q: %v, %v", arn, r, err)
		}
	}
}
