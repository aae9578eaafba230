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
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if diff := cmp.Diff([]string{"good 1.23× target 1.35× ok", "bad 151 µs target 150 µs above target"}, got); diff != "" {
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
