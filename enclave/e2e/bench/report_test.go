package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	out := table{&b}
	out.held("good", "×", 1.234, 1.35)
	out.held("bad", " µs", 151.2, 150)
	out.reached("fast", "×", 2, 2)
	out.reached("slow", "×", 1.994, 2)
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"good 1.23× target 1.35× ok", "bad 151 µs target 150 µs above target", "fast 2× target 2× ok", "slow 1.99× target 2× below target",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMedian(t *testing.T) {
	list := []time.Duration{5, 1, 4, 2, 3}
	if got := median(list); got != 3 {
		t.Errorf("median %d, want 3", got)
	}
	if list[0] != 5 {
		t.Error("the list was sorted in place")
	}
}

func TestBurst(t *testing.T) {
	ends := make([]time.Duration, size)
	for i := range ends {
		ends[i] = time.Duration(i+1) * time.Millisecond
	}
	b := burst{raw: []time.Duration{time.Millisecond}, ends: [][]time.Duration{ends}}
	if got := b.after(1); got != size*time.Millisecond {
		t.Errorf("the last after %v", got)
	}
	if got := b.after(0.5); got != (size/2+1)*time.Millisecond {
		t.Errorf("half after %v", got)
	}
}

func TestCosts(t *testing.T) {
	if got := (toll{votes: 200, statements: 5, trips: 4}).perVote(); got != 0.025 {
		t.Errorf("%v statements for each vote, want 0.025", got)
	}
	r := requests{votes: 100, groups: 4, number: 110}
	if r.perVote() != 1.1 || r.allowed() != 1.04 {
		t.Errorf("%v requests for each vote, and %v allowed; want 1.1 and 1.04", r.perVote(), r.allowed())
	}
}

func TestPerCaller(t *testing.T) {
	for _, test := range []struct {
		perSecond float64
		window    time.Duration
		want      int
	}{
		{0, 0, 20},
		{64, time.Second, 20},
		{64_000, time.Second, 1000},
		{64_000, 250 * time.Millisecond, 250},
	} {
		if got := perCaller(test.perSecond, test.window); got != test.want {
			t.Errorf("%v in a second, %v: %d for each caller, want %d", test.perSecond, test.window, got, test.want)
		}
	}
}
