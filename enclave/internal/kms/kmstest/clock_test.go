package kmstest

import (
	"crypto/x509"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// TestClock: what is signed by another clock is refused with AWS's words, and the answer's Date lets the SDK do better.
func TestClock(t *testing.T) {
	r := newRig(t, nil)
	user := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "canary-hush"}
	in := &kms.DescribeKeyInput{KeyId: aws.String(keyA)}
	if err := r.SetPolicy(keyA, []byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:*","Resource":"*"}}`)); err != nil {
		t.Fatal(err)
	}
	for ahead, words := range map[time.Duration]string{
		time.Hour:        `^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)$`,
		-time.Hour:       `^Signature not yet current: \d{8}T\d{6}Z is still later than \d{8}T\d{6}Z \(\d{8}T\d{6}Z \+ 5 min\.\)$`,
		4 * time.Minute:  "",
		-4 * time.Minute: "",
	} {
		r.SetClock(ahead)
		once := r.with(user, region)
		_, err := once.DescribeKey(t.Context(), in)
		if e := r.last(t); (code(err) == "InvalidSignatureException") != (words != "") || (err == nil) != (words == "") || words != "" && !regexp.MustCompile(words).MatchString(e.Reason) {
			t.Errorf("%v: %v, %s", ahead, err, e)
		}
		if _, err = once.DescribeKey(t.Context(), in); err != nil {
			t.Errorf("%v, the second request: %v", ahead, err)
		}
		again := kms.New(kms.Options{BaseEndpoint: aws.String(r.URL), Region: region, HTTPClient: r.Client(), Retryer: retry.NewStandard(), Credentials: fixed(user)})
		if _, err := again.DescribeKey(t.Context(), in); err != nil {
			t.Errorf("%v, with the SDK's retryer: %v", ahead, err)
		}
		other := sts.New(sts.Options{BaseEndpoint: aws.String(r.URL), Region: region, HTTPClient: r.Client(), Retryer: retry.NewStandard(), Credentials: fixed(user)})
		if _, err := other.GetCallerIdentity(t.Context(), nil); err != nil {
			t.Errorf("%v, of STS: %v", ahead, err)
		}
		answer, err := r.Client().Get(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		date, err := http.ParseTime(answer.Header.Get("Date"))
		if off := time.Until(date) - ahead; err != nil || off.Abs() > time.Minute {
			t.Errorf("%v: the answer is of %q, %v off", ahead, answer.Header.Get("Date"), off)
		}
	}
	r.SetClock(0)
	if _, err := r.with(user, region).DescribeKey(t.Context(), in); err != nil {
		t.Errorf("with the clock set right: %v", err)
	}
}

// TestDocumentsByTheClock: a fresh document is one by the server's clock. By another it is too old, or made before its certificates were.
func TestDocumentsByTheClock(t *testing.T) {
	r := newRig(t, nil)
	spki, err := x509.MarshalPKIXPublicKey(&enclaveKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	payload := issuer.Payload{PCRs: registers("a", "8", ""), PublicKey: spki}
	for _, tc := range []struct {
		ahead  time.Duration
		at     time.Time
		want   string
		reason string
	}{
		{0, time.Now(), "", ""},
		{time.Hour, time.Now().Add(time.Hour), "", ""},
		{time.Hour, time.Now(), "ValidationException", "freshness: timestamp: .* ago, at most 5m0s is allowed"},
		{-time.Hour, time.Now(), "ValidationException", "chain: certificate: .* is before "},
	} {
		r.SetClock(tc.ahead)
		client := r.as(t, signer)
		in := &kms.DecryptInput{CiphertextBlob: r.encrypted(t, keyA, secretText, nil), Recipient: r.document(t, payload, tc.at)}
		_, _ = client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(keyA)}) // the SDK learns the time
		_, err := client.Decrypt(t.Context(), in)
		if e := r.last(t); code(err) != tc.want || e.Attested != (tc.want == "") || !regexp.MustCompile(tc.reason).MatchString(e.Reason) {
			t.Errorf("%v, a document of %v: %v; %s", tc.ahead, tc.at, err, e)
		}
	}
}

// TestSessionsByTheClock: a session ends when the server's clock says so.
func TestSessionsByTheClock(t *testing.T) {
	r := newRig(t, nil)
	session, err := r.NewSession(signer, "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		ahead time.Duration
		want  string
	}{{0, ""}, {2 * time.Hour, "ExpiredTokenException"}, {0, ""}} {
		r.SetClock(tc.ahead)
		if _, err := r.with(session, region).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(keyA)}); code(err) != tc.want {
			t.Errorf("%v: %v, want %q", tc.ahead, err, tc.want)
		}
	}
}
