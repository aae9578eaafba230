package awscreds

import (
	"errors"
	"testing"
)

// TestSameFailureIsTheSame: STS numbers its answers, and each try that fails alike is told once.
func TestSameFailureIsTheSame(t *testing.T) {
	failed := func(id, code string) error {
		return errors.New("operation error STS: GetCallerIdentity, https response error StatusCode: 403, RequestID: " + id + ", api error " + code)
	}
	one := failed("8f0d2a4e-0000-4c1c-9e0e-000000000001", "AccessDenied")
	if withoutID(one) != withoutID(failed("8f0d2a4e-0000-4c1c-9e0e-000000000002", "AccessDenied")) {
		t.Error("another number is another failure")
	}
	if withoutID(one) == withoutID(failed("8f0d2a4e-0000-4c1c-9e0e-000000000001", "ExpiredToken")) {
		t.Error("another reason is the same failure")
	}
}
