package dynamodb

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// TestTries: how long each try of a request gets that nobody answers. What is slept between two of them is at most 20, 40 and 80 ms.
func TestTries(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name           string
		left           time.Duration // 0: no deadline
		timeout        time.Duration
		longest, least []time.Duration
	}{
		{"a quarter each", 8000 * ms, 10000 * ms, []time.Duration{2000 * ms, 1500 * ms, 1125 * ms, 844 * ms}, []time.Duration{2000 * ms, 1495 * ms, 1110 * ms, 800 * ms}},
		{"as set by default", 5000 * ms, 5000 * ms, []time.Duration{1250 * ms, 938 * ms, 704 * ms, 528 * ms}, []time.Duration{1250 * ms, 932 * ms, 688 * ms, 500 * ms}},
		{"not less than half a second", 2000 * ms, 2000 * ms, []time.Duration{500 * ms, 500 * ms, 500 * ms, 250 * ms}, []time.Duration{500 * ms, 500 * ms, 470 * ms, 150 * ms}},
		{"not more than half", 600 * ms, 1000 * ms, []time.Duration{300 * ms, 150 * ms}, []time.Duration{300 * ms, 140 * ms}},
		{"too little", 199 * ms, 1000 * ms, nil, nil},
		{"no deadline", 0, 1000 * ms, []time.Duration{1000 * ms, 1000 * ms, 1000 * ms, 1000 * ms}, []time.Duration{1000 * ms, 1000 * ms, 1000 * ms, 1000 * ms}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := newStore(Options{
					Table: "any", Region: "any", Timeout: tc.timeout, Credentials: aws.AnonymousCredentials{}, Dial: new(net.Dialer).DialContext,
				})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				ctx := t.Context()
				if tc.left > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.left)
					defer cancel()
				}
				var tries []time.Duration
				silent := func(ctx context.Context) error {
					end, _ := ctx.Deadline()
					tries = append(tries, time.Until(end))
					<-ctx.Done()
					return ctx.Err()
				}
				w := writing{store: s}
				if err := w.send(ctx, silent); !errors.Is(err, slashing.ErrUnavailable) {
					t.Errorf("%v", err)
				}
				written := tries
				tries = nil
				if tc.left == 0 {
					if err := s.read(ctx, silent); !errors.Is(err, slashing.ErrUnavailable) || len(tries) != len(written) {
						t.Errorf("a read: %v, %v", err, tries)
					}
				}
				if len(written) != len(tc.longest) {
					t.Fatalf("tries %v, want %v at most", written, tc.longest)
				}
				for i, got := range written {
					if got < tc.least[i] || got > tc.longest[i] {
						t.Errorf("try %d gets %v, want %v to %v", i, got, tc.least[i], tc.longest[i])
					}
				}
			})
		})
	}
}

// TestLastWord: what the service said is not forgotten for want of time.
func TestLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newStore(Options{
			Table: "any", Region: "any", Timeout: time.Second, Credentials: aws.AnonymousCredentials{}, Dial: new(net.Dialer).DialContext,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		said := errors.New("the host is down")
		refuse := func(context.Context) error {
			<-time.After(450 * time.Millisecond) // too little is left for another try
			return said
		}
		for name, send := range map[string]func(context.Context) error{
			"read":  func(ctx context.Context) error { return s.read(ctx, refuse) },
			"write": func(ctx context.Context) error { return (&writing{store: s}).send(ctx, refuse) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
			if err := send(ctx); !errors.Is(err, said) || !errors.Is(err, slashing.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
		}
	})
}
