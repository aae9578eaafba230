package kmstest

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func (r *rig) sts(c aws.Credentials) *sts.Client {
	return sts.New(sts.Options{
		BaseEndpoint: aws.String(r.URL), Region: region, HTTPClient: r.Client(), Retryer: aws.NopRetryer{}, Credentials: fixed(c),
	})
}

// TestWebIdentity: a session for a token, with which KMS is then called.
func TestWebIdentity(t *testing.T) {
	r := newRig(t, nil)
	out, err := r.sts(aws.Credentials{}).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(signer), RoleSessionName: aws.String("enclave"), WebIdentityToken: aws.String("canary-hush"), DurationSeconds: aws.Int32(900),
	})
	if err != nil {
		t.Fatal(err)
	}
	const session = "arn:aws:sts::111122223333:assumed-role/signer/enclave"
	if left := time.Until(*out.Credentials.Expiration); *out.AssumedRoleUser.Arn != session || left > 15*time.Minute || left < 14*time.Minute {
		t.Errorf("%s until %v", *out.AssumedRoleUser.Arn, out.Credentials.Expiration)
	}
	c := aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
	who, err := r.sts(c).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != session || *who.Account != home {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := r.with(c, region).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(keyA)}); err != nil {
		t.Error(err)
	}
	c.SecretAccessKey += "x"
	if _, err := r.sts(c).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("with another secret: %v", err)
	}
	c.AccessKeyID = "ASIANOBODY"
	if _, err := r.sts(c).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); code(err) != "InvalidClientTokenId" {
		t.Errorf("as nobody: %v", err)
	}
}

func TestWebIdentityRefusals(t *testing.T) {
	r := newRig(t, nil)
	if err := r.SetWebIdentityToken(other, "second-hush"); err != nil {
		t.Fatal(err)
	}
	if err := r.SetWebIdentityToken(keyA, "x"); err == nil {
		t.Error("a key has a token now")
	}
	for _, tc := range []struct {
		role, name, token string
		seconds           *int32
		want              string
	}{
		{signer, "enclave", "canary-hush", nil, ""},
		{other, "enclave", "second-hush", nil, ""},
		{signer, "enclave", "hush", nil, "InvalidIdentityToken"},
		{signer, "enclave", "second-hush", nil, "AccessDenied"},
		{"arn:aws:iam::111122223333:role/nobody", "enclave", "canary-hush", nil, "AccessDenied"},
		{signer, "e", "canary-hush", nil, "ValidationError"},
		{signer, "enclave", "canary-hush", aws.Int32(60), "ValidationError"},
		{signer, "enclave", "canary-hush", aws.Int32(43201), "ValidationError"},
	} {
		_, err := r.sts(aws.Credentials{}).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: aws.String(tc.role), RoleSessionName: aws.String(tc.name), WebIdentityToken: aws.String(tc.token), DurationSeconds: tc.seconds,
		})
		if e := r.last(t); code(err) != tc.want || e.Error != tc.want || e.Allowed != (tc.want == "") {
			t.Errorf("%+v: %v; %+v", tc, err, e)
		}
	}
	if _, err := r.sts(aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "canary-hush"}).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{}); code(err) != "InvalidAction" {
		t.Errorf("what is not modelled: %v", err)
	}
}
