package dynamoclient_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
)

// TestTime: how long a request gets.
func TestTime(t *testing.T) {
	for _, tc := range []struct {
		name           string
		left           time.Duration // 0: no deadline
		share          time.Duration // of what is left, one part of so many
		shortest, want time.Duration // no want: it is not sent
	}{
		{"no deadline", 0, 1, time.Second, 10 * time.Second},
		{"a share", 12 * time.Second, 3, time.Second, 4 * time.Second},
		{"no more than the timeout", 60 * time.Second, 2, time.Second, 10 * time.Second},
		{"just long enough", 2 * time.Second, 2, time.Second, time.Second},
		{"too short", 2*time.Second - time.Millisecond, 2, time.Second, 0},
		{"a timeout that is too short", 0, 1, 11 * time.Second, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options("")
				o.Timeout = 10 * time.Second
				table := open(t, o)
				ctx := t.Context()
				if tc.left > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.left)
					defer cancel()
				}
				var got time.Duration
				fate, err := table.Try(ctx, func(left time.Duration) time.Duration { return left / tc.share }, tc.shortest, func(ctx context.Context) error {
					end, _ := ctx.Deadline()
					got = time.Until(end)
					<-ctx.Done()
					return ctx.Err()
				})
				want := dynamoclient.Unsent
				if tc.want == 0 {
					want = dynamoclient.TooLate
				}
				if got != tc.want || fate != want || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v, fate %d, %v; want %v, fate %d", got, fate, err, tc.want, want)
				}
			})
		})
	}
}

// TestConcurrency: what finds no place among the requests under way waits for one, as long as its caller does.
func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options("")
		o.Concurrency = 2
		table := open(t, o)
		if n := table.Concurrency(); n != 2 {
			t.Errorf("%d at once", n)
		}
		end := make(chan struct{})
		sent := make(chan struct{}, 10)
		hold := func(context.Context) error {
			sent <- struct{}{}
			<-end
			return nil
		}
		var work sync.WaitGroup
		for range 3 {
			work.Go(func() {
				if fate, err := try(t.Context(), table, hold); fate != dynamoclient.Answered {
					t.Errorf("fate %d, %v", fate, err)
				}
			})
		}
		synctest.Wait()
		if n := len(sent); n != 2 {
			t.Errorf("%d are sent at once", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if fate, err := try(ctx, table, hold); fate != dynamoclient.TooLate || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a place: fate %d, %v", fate, err)
		}
		close(end)
		work.Wait()
		if n := len(sent); n != 3 {
			t.Errorf("%d were sent, want 3", n)
		}
	})
}

// TestLeft: nothing is sent for a caller who has left.
func TestLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	table := open(t, options(""))
	for range 100 { // there is a place too, and one of both is chosen
		fate, err := try(ctx, table, func(context.Context) error {
			t.Error("sent")
			return nil
		})
		if fate != dynamoclient.TooLate || !errors.Is(err, context.Canceled) {
			t.Fatalf("fate %d, %v", fate, err)
		}
	}
}

// TestPause: pauses become longer, and never long; of 200 each, one is in the upper fifth of what is allowed.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for tries, ms := range []int{20, 40, 80, 160, 320, 500, 500, 500} {
			most := time.Duration(ms) * time.Millisecond
			var longest time.Duration
			for range 200 {
				began := time.Now()
				if !dynamoclient.Pause(t.Context(), tries) {
					t.Fatal("it says that the caller has left")
				}
				longest = max(longest, time.Since(began))
			}
			if longest > most || longest < most*4/5 {
				t.Errorf("up to %v after %d tries, want up to %v", longest, tries, most)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if dynamoclient.Pause(ctx, 9) || time.Since(began) > 0 {
			t.Errorf("%v for a caller who has left", time.Since(began))
		}
	})
}
