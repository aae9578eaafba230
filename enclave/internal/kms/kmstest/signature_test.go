package kmstest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// TestSignatures: who is not who they say has no answer, by AWS's names.
func TestSignatures(t *testing.T) {
	r := newRig(t, nil)
	good, err := r.NewSession(signer, "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	old, err := r.NewSession(signer, "old", -time.Second)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*aws.Credentials)) aws.Credentials {
		c := good
		change(&c)
		return c
	}
	for name, tc := range map[string]struct {
		with aws.Credentials
		want string
	}{
		"good":                    {good, ""},
		"of a user":               {aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "canary-hush"}, denied},
		"with another secret":     {changed(func(c *aws.Credentials) { c.SecretAccessKey += "x" }), "InvalidSignatureException"},
		"without its token":       {changed(func(c *aws.Credentials) { c.SessionToken = "" }), "UnrecognizedClientException"},
		"with another token":      {changed(func(c *aws.Credentials) { c.SessionToken = old.SessionToken }), "UnrecognizedClientException"},
		"of nobody":               {changed(func(c *aws.Credentials) { c.AccessKeyID = "ASIANOBODY" }), "UnrecognizedClientException"},
		"of a session that ended": {old, "ExpiredTokenException"},
	} {
		_, err := r.with(tc.with, region).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(keyA)})
		if e := r.last(t); code(err) != tc.want || e.Error != tc.want || (e.Principal == "") != (tc.want != "" && tc.want != denied) {
			t.Errorf("%s: %v, want %q; %+v", name, err, tc.want, e)
		}
	}
	if _, err := r.with(good, "us-east-1").DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(keyC)}); err != nil {
		t.Errorf("of another region: %v", err)
	}
}

// TestHandmadeRequests are those that no SDK sends.
func TestHandmadeRequests(t *testing.T) {
	r := newRig(t, nil)
	credentials, err := r.NewSession(signer, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"KeyId":"` + keyA + `"}`
	sum := sha256.Sum256([]byte(body))
	for name, tc := range map[string]struct {
		host, service string
		at            time.Duration
		before, after func(*http.Request) // it is signed
		want          string
	}{
		"good":                {},
		"to AWS's name":       {host: "kms.eu-central-1.amazonaws.com"},
		"to another region":   {host: "kms.us-east-1.amazonaws.com", want: "InvalidSignatureException"},
		"to another service":  {host: "sts.eu-central-1.amazonaws.com", want: "InvalidSignatureException"},
		"for another service": {service: "sts", want: "InvalidSignatureException"},
		"minutes ago":         {at: -4 * time.Minute},
		"too long ago":        {at: -6 * time.Minute, want: "InvalidSignatureException"},
		"in minutes":          {at: 4 * time.Minute},
		"too far ahead":       {at: 6 * time.Minute, want: "InvalidSignatureException"},
		"with another body": {after: func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(body, "a\"", "b\"", 1)))
		}, want: "InvalidSignatureException"},
		"with another operation":  {after: func(r *http.Request) { r.Header.Set("X-Amz-Target", "TrentService.Encrypt") }, want: "InvalidSignatureException"},
		"with an unsigned header": {after: func(r *http.Request) { r.Header.Set("X-Amz-More", "x") }, want: "InvalidSignatureException"},
		"with another date":       {after: func(r *http.Request) { r.Header.Set("X-Amz-Date", "20200101T000000Z") }, want: "InvalidSignatureException"},
		"unsigned":                {after: func(r *http.Request) { r.Header.Del("Authorization") }, want: "MissingAuthenticationTokenException"},
		"with half a signature":   {after: func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x") }, want: "IncompleteSignatureException"},
		"of another content type": {before: func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, want: "UnknownOperationException"},
		"of another interface":    {before: func(r *http.Request) { r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem") }, want: "UnknownOperationException"},
		"to another path":         {before: func(r *http.Request) { r.URL.Path = "/x" }, want: "UnknownOperationException"},
	} {
		req := r.request(t, "DescribeKey", body)
		if tc.host != "" {
			req.Host = tc.host
		}
		if tc.before != nil {
			tc.before(req)
		}
		service := "kms"
		if tc.service != "" {
			service = tc.service
		}
		if err := v4.NewSigner().SignHTTP(context.Background(), credentials, req, hex.EncodeToString(sum[:]), service, region, time.Now().Add(tc.at)); err != nil {
			t.Fatal(err)
		}
		if tc.after != nil {
			tc.after(req)
		}
		if status, text := r.send(t, req); (tc.want == "") != (status == http.StatusOK) || !strings.Contains(text, tc.want) {
			t.Errorf("%s: %d %s, want %q", name, status, text, tc.want)
		}
	}
}

// request is one that is not signed yet.
func (r *rig) request(t *testing.T, operation, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("X-Amz-Target", "TrentService."+operation)
	return req
}

func (r *rig) send(t *testing.T, req *http.Request) (status int, answer string) {
	t.Helper()
	res, err := r.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}
