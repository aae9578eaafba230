package awscreds

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TestRefresh: credentials of an hour are replaced ten minutes, more or less, before their end, with the token of that moment, and no
// caller waits for it.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, webIdentity("canary-hush-1"), routes(), roleARN)
		r.start(t)
		first, err := r.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.set(func(c *cloud) { c.token = "canary-hush-2" }) // the first is taken no longer
		r.says(webIdentity("canary-hush-2"), nil)
		<-time.After(48*time.Minute - time.Second)
		if c, err := r.Retrieve(t.Context()); err != nil || c != first || len(r.requests()) != 2 {
			t.Errorf("before the refresh: %s, %v, %d requests", c.AccessKeyID, err, len(r.requests()))
		}
		<-time.After(4*time.Minute + 2*time.Second)
		synctest.Wait()
		began := time.Now()
		c, err := r.Retrieve(t.Context())
		if err != nil || c.AccessKeyID != "ASIA2" || len(r.requests()) != 4 || time.Now() != began {
			t.Errorf("after the refresh: %s, %v, %d requests, %v waited", c.AccessKeyID, err, len(r.requests()), time.Since(began))
		}
		<-time.After(24 * time.Hour) // the rotation of the token was one thing; this goes on
		if got := r.value(t, "containment_aws_credentials_refreshes_total", "renewed"); got < 28 || got > 32 {
			t.Errorf("%v refreshes in a day and an hour", got)
		}
		if got := r.value(t, "containment_aws_credentials_refreshes_total", "failed"); got != 0 {
			t.Errorf("%v failures", got)
		}
	})
}

// TestParentGone: what is held stays in use to its end, then callers are told why there is nothing, and a parent that is back is found.
func TestParentGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, podIdentity("canary-hush-1"), routes(), "")
		r.start(t)
		first, err := r.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.says(noIdentity, errors.New("connect to the parent's boot service: connection refused"))
		<-time.After(time.Hour - margin - time.Second)
		if c, err := r.Retrieve(t.Context()); err != nil || c != first {
			t.Errorf("a second before the end: %s, %v", c.AccessKeyID, err)
		}
		if got := r.value(t, "containment_aws_credentials_refreshes_total", "failed"); got < 10 || got > 60 {
			t.Errorf("%v failures in some 10 minutes", got)
		}
		<-time.After(2 * time.Second)
		if c, err := r.Retrieve(t.Context()); err == nil || c.HasKeys() || !strings.Contains(err.Error(), "AWS credentials: ask the parent for its token: connect to the parent's boot service") {
			t.Errorf("after the end: %s, %v", c.AccessKeyID, err)
		}
		if lines := r.logged.FilterMessage("no new AWS credentials").All(); len(lines) != 1 || lines[0].ContextMap()["old_ones_usable"] != true {
			t.Errorf("logged %v", lines)
		}
		r.says(podIdentity("canary-hush-1"), nil)
		<-time.After(minPause)
		if c, err := r.Retrieve(t.Context()); err != nil || c.AccessKeyID != "ASIA2" {
			t.Errorf("with the parent back: %s, %v", c.AccessKeyID, err)
		}
	})
}

// TestAnotherRoleLater: the parent cannot change the role under a running signer.
func TestAnotherRoleLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, podIdentity("canary-hush-1"), routes(), roleARN)
		r.start(t)
		first, err := r.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.set(func(c *cloud) { c.arn = "arn:aws:sts::666666666666:assumed-role/signer/s" })
		<-time.After(55 * time.Minute)
		if c, err := r.Retrieve(t.Context()); err != nil || c != first {
			t.Errorf("got %s, %v", c.AccessKeyID, err)
		}
		if got := r.value(t, "containment_aws_credentials_refreshes_total", "another_role"); got == 0 {
			t.Error("nothing was counted")
		}
		<-time.After(5 * time.Minute)
		if c, err := r.Retrieve(t.Context()); !errors.Is(err, ErrAnotherRole) || c.HasKeys() {
			t.Errorf("got %s, %v", c.AccessKeyID, err)
		}
	})
}

func TestUntilRefresh(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		life, least, most time.Duration
	}{
		{6 * time.Hour, 5*time.Hour + 48*time.Minute, 5*time.Hour + 52*time.Minute},
		{time.Hour, 48 * time.Minute, 52 * time.Minute},
		{15 * time.Minute, 9 * time.Minute, 11 * time.Minute},
		{time.Minute, 36 * time.Second, 44 * time.Second},
		{11 * time.Second, minWait, minWait},
		{time.Second, minWait, minWait},
		{-time.Hour, minWait, minWait},
	} {
		seen := map[time.Duration]bool{}
		for range 100 {
			got := untilRefresh(aws.Credentials{CanExpire: true, Expires: now.Add(tc.life)}, now)
			if got < tc.least || got > tc.most {
				t.Errorf("life %v: %v, want %v to %v", tc.life, got, tc.least, tc.most)
			}
			seen[got] = true
		}
		if tc.least != tc.most && len(seen) < 50 {
			t.Errorf("life %v: %d different times of 100: signers would come together", tc.life, len(seen))
		}
	}
	if got := untilRefresh(aws.Credentials{}, now); got != unending {
		t.Errorf("without an end: %v", got)
	}
}
