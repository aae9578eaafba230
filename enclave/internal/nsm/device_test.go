package nsm_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hf/nsm/request"
	"github.com/hf/nsm/response"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
)

// scripted is a session that answers by a function, and notes how it is used.
type scripted struct {
	answer func(request.Request) (response.Response, error)
	sent   atomic.Int32
	inside atomic.Int32
	most   atomic.Int32 // requests that were inside Send at the same time
	closed atomic.Int32
}

func (s *scripted) Send(r request.Request) (response.Response, error) {
	s.sent.Add(1)
	if n := s.inside.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.inside.Add(-1)
	return s.answer(r)
}

func (s *scripted) Close() error {
	s.closed.Add(1)
	return nil
}

// run starts a device and returns it with a function that stops it and waits for its Run.
func run(t *testing.T, s nsm.Session) (d *nsm.Device, stop func()) {
	t.Helper()
	d = nsm.New(s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return d, stop
}

func TestRandomAsksAgainUntilEnough(t *testing.T) {
	s := &scripted{answer: func(request.Request) (response.Response, error) {
		return response.Response{GetRandom: &response.GetRandom{Random: bytes.Repeat([]byte{7}, 256)}}, nil
	}}
	d, _ := run(t, s)
	got, err := d.Random(t.Context(), 600)
	if err != nil || len(got) != 600 || s.sent.Load() != 3 {
		t.Fatalf("Random(600) = %d bytes, %v, after %d requests; want 600 after 3", len(got), err, s.sent.Load())
	}
	for _, n := range []int{-1, nsm.MaxRandom + 1} {
		if _, err := d.Random(t.Context(), n); err == nil || !strings.Contains(err.Error(), "not 0 to 65536") {
			t.Errorf("Random(%d) = %v, want a refusal that names the limit", n, err)
		}
	}
}

func TestAttestChecksSizesBeforeTheDevice(t *testing.T) {
	s := &scripted{answer: func(request.Request) (response.Response, error) {
		return response.Response{Attestation: &response.Attestation{Document: []byte{1}}}, nil
	}}
	d, _ := run(t, s)
	long := make([]byte, nsm.MaxField+1)
	for _, c := range []struct {
		a    nsm.Attestation
		want string
	}{
		{nsm.Attestation{UserData: long}, "user_data has 1025 bytes"},
		{nsm.Attestation{Nonce: long}, "nonce has 1025 bytes"},
		{nsm.Attestation{PublicKey: long}, "public_key has 1025 bytes"},
		{nsm.Attestation{Nonce: []byte{}}, "nonce has 0 bytes"},
	} {
		if _, err := d.Attest(t.Context(), c.a); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Attest = %v, want %q", err, c.want)
		}
	}
	if s.sent.Load() != 0 {
		t.Errorf("%d requests reached the device", s.sent.Load())
	}
	if _, err := d.Attest(t.Context(), nsm.Attestation{UserData: long[:nsm.MaxField]}); err != nil {
		t.Errorf("Attest with 1024 bytes: %v", err)
	}
}

// TestRefusalsAndWrongAnswers goes through every method with a device that refuses, fails, or answers another question.
func TestRefusalsAndWrongAnswers(t *testing.T) {
	calls := map[string]func(context.Context, *nsm.Device) error{
		"Attestation": func(ctx context.Context, d *nsm.Device) error { _, err := d.Attest(ctx, nsm.Attestation{}); return err },
		"GetRandom":   func(ctx context.Context, d *nsm.Device) error { _, err := d.Random(ctx, 1); return err },
		"DescribeNSM": func(ctx context.Context, d *nsm.Device) error { _, err := d.Describe(ctx); return err },
		"DescribePCR 3": func(ctx context.Context, d *nsm.Device) error {
			_, _, err := d.DescribePCR(ctx, 3)
			return err
		},
		"ExtendPCR 0": func(ctx context.Context, d *nsm.Device) error { _, err := d.ExtendPCR(ctx, 0, []byte{1}); return err },
		"LockPCR 31":  func(ctx context.Context, d *nsm.Device) error { return d.LockPCR(ctx, 31) },
	}
	broken := errors.New("ioctl broke")
	for op, call := range calls {
		t.Run(op, func(t *testing.T) {
			var res response.Response
			var fault error
			d, _ := run(t, &scripted{answer: func(request.Request) (response.Response, error) { return res, fault }})

			res = response.Response{Error: response.ECReadOnlyIndex}
			code, ok := errors.AsType[*nsm.CodeError](call(t.Context(), d))
			if !ok || *code != (nsm.CodeError{Op: op, Code: response.ECReadOnlyIndex}) {
				t.Errorf("refusal = %+v", code)
			}
			if want := "nsm " + op + ": device answered ReadOnlyIndex"; ok && code.Error() != want {
				t.Errorf("refusal reads %q, want %q", code, want)
			}

			res = response.Response{LockPCRs: &response.LockPCRs{}}
			if err := call(t.Context(), d); err == nil || !strings.Contains(err.Error(), op+": the device's answer has no such part") {
				t.Errorf("wrong answer = %v", err)
			}

			res, fault = response.Response{}, broken
			if err := call(t.Context(), d); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "nsm "+op+": ") {
				t.Errorf("fault = %v", err)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	d, _ := run(t, &scripted{answer: func(request.Request) (response.Response, error) {
		return response.Response{DescribeNSM: &response.DescribeNSM{
			VersionMajor: 1, ModuleID: "m", MaxPCRs: 32, LockedPCRs: []uint16{0, 1}, Digest: response.DigestSHA384,
		}}, nil
	}})
	got, err := d.Describe(t.Context())
	want := nsm.Description{Version: "1.0.0", ModuleID: "m", MaxPCRs: 32, Locked: []int{0, 1}, Digest: "SHA384"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Describe: %v\n%s", err, diff)
	}
}

// TestQueue holds the device in one request and looks at those behind it.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &scripted{answer: func(request.Request) (response.Response, error) {
			<-release
			return response.Response{GetRandom: &response.GetRandom{Random: []byte{1}}}, nil
		}}
		d, stop := run(t, s)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Random(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("caller behind a hanging device got %v", err)
		}
		// This one gives up in the queue: the device must never see it.
		if _, err := d.Random(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("caller in the queue got %v", err)
		}

		results := make(chan error, 64)
		for range 63 {
			go func() { _, err := d.Random(t.Context(), 1); results <- err }()
		}
		synctest.Wait()
		if _, err := d.Random(t.Context(), 1); !errors.Is(err, nsm.ErrBusy) {
			t.Fatalf("65th waiting request got %v, want ErrBusy", err)
		}
		close(release)
		for range 63 {
			if err := <-results; err != nil {
				t.Errorf("waiting request got %v", err)
			}
		}
		if s.sent.Load() != 64 || s.most.Load() != 1 {
			t.Errorf("device saw %d requests, %d at once; want 64, one at a time", s.sent.Load(), s.most.Load())
		}
		stop()
	})
}

// TestStop ends the device while one request is under way and one waits.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &scripted{answer: func(request.Request) (response.Response, error) {
			<-release
			return response.Response{GetRandom: &response.GetRandom{Random: []byte{1}}}, nil
		}}
		d := nsm.New(s)
		ctx, cancel := context.WithCancel(t.Context())
		ended, first, second := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		go func() { _, err := d.Random(t.Context(), 1); first <- err }()
		synctest.Wait()
		go func() { _, err := d.Random(t.Context(), 1); second <- err }()
		synctest.Wait()

		cancel()
		synctest.Wait()
		if s.closed.Load() != 0 {
			t.Error("session closed under a request")
		}
		close(release)
		if err := <-first; err != nil {
			t.Errorf("request under way got %v", err)
		}
		if err := <-second; !errors.Is(err, nsm.ErrStopped) {
			t.Errorf("waiting request got %v, want ErrStopped", err)
		}
		if err := <-ended; err != nil || s.closed.Load() != 1 {
			t.Errorf("Run = %v, session closed %d times", err, s.closed.Load())
		}
		if _, err := d.Random(t.Context(), 1); !errors.Is(err, nsm.ErrStopped) {
			t.Errorf("request after the end got %v, want ErrStopped", err)
		}
		if s.sent.Load() != 1 {
			t.Errorf("%d requests reached the device, want 1", s.sent.Load())
		}
	})
}
