package boot

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStagesRunInOrder(t *testing.T) {
	bubble(t, 0, func(ctx context.Context, t *testing.T) {
		log, logs := observed()
		p := NewProgress()
		if stage, reason, done := p.Missing(); stage != "start" || reason != nil || done {
			t.Errorf("at first %q, %v, %t", stage, reason, done)
		}
		var order []string
		step := func(name string, takes time.Duration) Stage {
			return Stage{Name: name, Limit: time.Minute, Run: func(context.Context) error {
				stage, _, done := p.Missing()
				order = append(order, stage)
				if done {
					t.Error("done before the end")
				}
				pass(takes)
				return nil
			}}
		}
		if err := Run(ctx, log, p, []Stage{step("one", time.Second), step("two", 2*time.Second)}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"one", "two"}, order); diff != "" {
			t.Error(diff)
		}
		if stage, reason, done := p.Missing(); stage != "" || reason != nil || !done {
			t.Errorf("at last %q, %v, %t", stage, reason, done)
		}
		if diff := cmp.Diff([]string{"stage done: one", "stage done: two"}, messages(logs, "stage")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"stage done: 1s", "stage done: 2s"}, messages(logs, "duration")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStagesThatFail(t *testing.T) {
	broken := errors.New("no device")
	for _, tc := range []struct {
		name string
		run  func(release chan struct{}) func(context.Context) error
		want string
		is   error
		took time.Duration
	}{
		{
			"by itself",
			func(chan struct{}) func(context.Context) error { return func(context.Context) error { return broken } },
			"stage nsm: no device", broken, 0,
		},
		{
			"heeds its context",
			func(chan struct{}) func(context.Context) error {
				return func(ctx context.Context) error { <-ctx.Done(); return errors.Join(broken, ctx.Err()) }
			},
			"stage nsm: not done within 5s: no device", broken, 5 * time.Second,
		},
		{
			"does not heed its context",
			func(release chan struct{}) func(context.Context) error {
				return func(context.Context) error { <-release; return nil }
			},
			"stage nsm: not done within 5s: it does not answer: context deadline exceeded", context.DeadlineExceeded, 5*time.Second + lastWords,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, 0, func(ctx context.Context, t *testing.T) {
				log, logs := observed()
				release := make(chan struct{})
				p := NewProgress()
				began := time.Now()
				err := Run(ctx, log, p, []Stage{
					{Name: "nsm", Limit: 5 * time.Second, Run: tc.run(release)},
					{Name: "never", Limit: time.Second, Run: func(context.Context) error { t.Error("ran on"); return nil }},
				})
				if err == nil || !strings.HasPrefix(err.Error(), tc.want) || !errors.Is(err, tc.is) {
					t.Errorf("got %v, want %s", err, tc.want)
				}
				if took := time.Since(began); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				if stage, reason, done := p.Missing(); stage != "nsm" || !errors.Is(reason, tc.is) || done {
					t.Errorf("progress is %q, %v, %t", stage, reason, done)
				}
				if logs.Len() != 0 {
					t.Errorf("logged %v", logs.All())
				}
				close(release)
			})
		})
	}
}

func TestStoppedWhileStarting(t *testing.T) {
	bubble(t, time.Second, func(ctx context.Context, t *testing.T) {
		log, _ := observed()
		err := Run(ctx, log, NewProgress(), []Stage{{Name: "keys", Limit: time.Minute, Run: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}})
		if err == nil || err.Error() != "stage keys: stopped: context deadline exceeded" {
			t.Errorf("got %v", err)
		}
	})
}

func TestRetryingIsTold(t *testing.T) {
	bubble(t, 0, func(ctx context.Context, t *testing.T) {
		log, _ := observed()
		p := NewProgress()
		ended := make(chan error, 1)
		go func() {
			ended <- Run(ctx, log, p, []Stage{
				{Name: "store", Limit: time.Minute, Run: func(ctx context.Context) error {
					Retrying(ctx, errors.New("connection refused"))
					pass(time.Second)
					return nil
				}},
				{Name: "keys", Limit: time.Minute, Run: func(context.Context) error { pass(time.Second); return nil }},
			})
		}()
		synctest.Wait()
		if stage, reason, _ := p.Missing(); stage != "store" || reason == nil || reason.Error() != "connection refused" {
			t.Errorf("progress is %q, %v", stage, reason)
		}
		pass(1500 * time.Millisecond)
		if stage, reason, _ := p.Missing(); stage != "keys" || reason != nil {
			t.Errorf("progress is %q, %v", stage, reason)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	Retrying(t.Context(), errors.New("outside a stage")) // does nothing
}
