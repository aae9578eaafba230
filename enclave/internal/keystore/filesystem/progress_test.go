package filesystem

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// TestTally: the estimate is of keystores at the pace of keystores; raw keys and a Load before say nothing about it.
func TestTally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p tally
		want := func(want Progress) {
			t.Helper()
			if diff := cmp.Diff(want, p.look()); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		}
		for range 2 {
			p.begin(0)
			want(Progress{})
			p.begin(103)
			pass(time.Hour)
			p.done(nil)
			p.done(nil)
			p.done(errors.New("broken"))
			want(Progress{Total: 103, Done: 3, Failed: 1})
			pass(time.Hour)
			p.beginKeystores()
			pass(2 * time.Second)
			want(Progress{Total: 103, Done: 3, Failed: 1})
			for range 9 {
				p.done(nil)
			}
			p.done(errors.New("broken"))
			want(Progress{Total: 103, Done: 13, Failed: 2, Left: 18 * time.Second})
			pass(2 * time.Second)
			want(Progress{Total: 103, Done: 13, Failed: 2, Left: 36 * time.Second})
			for range 90 {
				p.done(nil)
			}
			want(Progress{Total: 103, Done: 103, Failed: 2})
		}
	})
}
