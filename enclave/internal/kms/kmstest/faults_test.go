package kmstest

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/google/go-cmp/cmp"
)

func (r *rig) decrypt(t *testing.T, client *kms.Client, arn string) (*kms.DecryptOutput, error) {
	t.Helper()
	return client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: r.encrypted(t, arn, secretText, nil), Recipient: r.recipient(t, registers("a", "8", ""))})
}

// TestThrottle: the fraction is spread evenly, and is of one key.
func TestThrottle(t *testing.T) {
	r := newRig(t, nil)
	client := r.as(t, signer)
	for fraction, want := range map[float64]string{0: "----------", 0.5: "-x-x-x-x-x", 0.1: "---------x", 0.3: "---x--x--x", 1: "xxxxxxxxxx"} {
		if err := r.SetFaults(keyA, Faults{Throttle: fraction}); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for range 10 {
			_, err := client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(keyA)})
			got.WriteString(map[string]string{"": "-", "ThrottlingException": "x"}[code(err)])
			if _, err := client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(keyB)}); err != nil {
				t.Errorf("the other key: %v", err)
			}
		}
		if got.String() != want {
			t.Errorf("%v: %s, want %s", fraction, got.String(), want)
		}
	}
}

func TestFaults(t *testing.T) {
	r := newRig(t, nil)
	client := r.as(t, signer)
	for name, tc := range map[string]struct {
		faults Faults
		want   string // the error's name
		fault  string // in the trail
		check  func(*testing.T, *kms.DecryptOutput)
	}{
		"internal":    {Faults{Error: "KMSInternalException"}, "KMSInternalException", "KMSInternalException", nil},
		"unavailable": {Faults{Error: "KeyUnavailableException"}, "KeyUnavailableException", "KeyUnavailableException", nil},
		"timeout":     {Faults{Error: "DependencyTimeoutException"}, "DependencyTimeoutException", "DependencyTimeoutException", nil},
		"no JSON":     {Faults{Garbage: GarbageBody}, "no answer", "garbage: body", nil},
		"the recipient is dropped": {Faults{DropRecipient: true}, "", "recipient dropped", func(t *testing.T, out *kms.DecryptOutput) {
			if string(out.Plaintext) != secretText || out.CiphertextForRecipient != nil {
				t.Errorf("%+v", out)
			}
		}},
		"random bytes": {Faults{Garbage: GarbageEnvelope}, "", "garbage: envelope", func(t *testing.T, out *kms.DecryptOutput) {
			if e, rest, err := readBER(out.CiphertextForRecipient); err == nil && len(rest) == 0 && len(e.parts) == 2 || out.CiphertextForRecipient == nil {
				t.Error("that is an envelope")
			}
		}},
		"for another key": {Faults{Garbage: GarbageKey}, "", "garbage: another-key", func(t *testing.T, out *kms.DecryptOutput) {
			e, _, err := readBER(out.CiphertextForRecipient)
			if err != nil {
				t.Fatal(err)
			}
			wrapped := e.parts[1].parts[0].parts[1].parts[0].parts[3].body
			if _, err := rsa.DecryptOAEP(sha256.New(), nil, enclaveKey(), wrapped, nil); err == nil {
				t.Error("the enclave can open it")
			}
		}},
		"another content": {Faults{Garbage: GarbageContent}, "", "garbage: content", func(t *testing.T, out *kms.DecryptOutput) {
			if got, _ := openEnvelope(t, out.CiphertextForRecipient, enclaveKey()); string(got) == secretText || len(got) != len(secretText) {
				t.Errorf("%q", got)
			}
		}},
		"the other form": {Faults{Primitive: true}, "", "", func(t *testing.T, out *kms.DecryptOutput) {
			if got, structure := openEnvelope(t, out.CiphertextForRecipient, enclaveKey()); string(got) != secretText || !strings.HasSuffix(structure, "80[48]}}}}") {
				t.Errorf("%q in %s", got, structure)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := r.SetFaults("", tc.faults); err != nil {
				t.Fatal(err)
			}
			out, err := r.decrypt(t, client, keyA)
			if got, _, _ := strings.Cut(code(err), ":"); got != tc.want || r.last(t).Fault != tc.fault {
				t.Fatalf("%v, want %q; %+v", err, tc.want, r.last(t))
			}
			if tc.check != nil {
				tc.check(t, out)
			}
		})
	}
}

// TestLatency: an answer waits, and the caller may go.
func TestLatency(t *testing.T) {
	r := newRig(t, nil)
	client := r.as(t, signer)
	if err := r.SetFaults(keyA, Faults{Latency: time.Hour}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String(keyA)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := r.SetFaults(keyA, Faults{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(keyA)}); err != nil {
		t.Error(err)
	}
}

func TestDenyPrincipal(t *testing.T) {
	r := newRig(t, nil)
	client := r.as(t, signer)
	for _, tc := range []struct {
		denied bool
		want   string
	}{{false, ""}, {true, denied}, {false, ""}} {
		if err := r.DenyPrincipal(signer, tc.denied); err != nil {
			t.Fatal(err)
		}
		if _, err := r.decrypt(t, client, keyA); code(err) != tc.want {
			t.Errorf("denied %t: %v", tc.denied, err)
		}
	}
}

func TestSwitchesRefuse(t *testing.T) {
	r := newRig(t, nil)
	got := map[string]string{}
	for name, err := range map[string]error{
		"state of nobody":     r.SetState("x", Disabled),
		"unknown state":       r.SetState(keyA, "Broken"),
		"policy of nobody":    r.SetPolicy("x", []byte(everything)),
		"no policy":           r.SetPolicy(keyA, []byte("{}")),
		"faults of nobody":    r.SetFaults("x", Faults{}),
		"throttle":            r.SetFaults(keyA, Faults{Throttle: 1.5}),
		"throttle of nothing": r.SetFaults(keyA, Faults{Throttle: math.NaN()}),
		"garbage":             r.SetFaults(keyA, Faults{Garbage: "some"}),
		"error":               r.SetFaults(keyA, Faults{Error: "SomeException"}),
		"latency":             r.SetFaults(keyA, Faults{Latency: -1}),
		"denial":              r.DenyPrincipal("x", true),
	} {
		if err == nil {
			err = errors.New("nothing")
		}
		got[name] = err.Error()
	}
	want := map[string]string{
		"state of nobody": `no key "x"`, "unknown state": `state: "Broken" is none that a key can be in`, "policy of nobody": `no key "x"`,
		"no policy": "policy: Version: want 2012-10-17", "faults of nobody": `no key "x"`, "throttle": "throttle: 1.5 is not between 0 and 1",
		"throttle of nothing": "throttle: NaN is not between 0 and 1", "garbage": `garbage: "some" is none of body, envelope, another-key, content`,
		"error":   `error: "SomeException" is none of KMSInternalException, KeyUnavailableException, DependencyTimeoutException`,
		"latency": "latency, chunk: below zero", "denial": `no principal "x"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
