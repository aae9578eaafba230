package telemetry

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
)

func TestTheFirstAndTheLastLinesAreKept(t *testing.T) {
	for name, test := range map[string]struct {
		lines, pad  int
		first, last int // how many are kept
	}{
		"a few":          {lines: 50, first: 50, last: 50},
		"many":           {lines: 7000, first: maxFirst, last: maxKept},
		"long ones":      {lines: 400, pad: 10_000, first: 12, last: 103},
		"none":           {},
		"exactly all":    {lines: maxKept, first: maxFirst, last: maxKept},
		"one line above": {lines: maxKept + 1, first: maxFirst, last: maxKept},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			l := newLogs(t, Direct(&out))
			pad := zap.String("pad", strings.Repeat("x", test.pad))
			for n := range test.lines {
				l.Logger().Info(fmt.Sprint(n), pad)
			}
			first, last := l.Kept()
			if !bytes.HasPrefix(out.Bytes(), first) || !bytes.HasSuffix(out.Bytes(), last) {
				t.Error("what is kept is not the beginning and the end of what was written")
			}
			if got := bytes.Count(first, []byte("\n")); got != test.first || len(first) > maxFirstBytes {
				t.Errorf("%d first lines of %d bytes, want %d", got, len(first), test.first)
			}
			if got := bytes.Count(last, []byte("\n")); got != test.last || len(last) > maxKeptBytes {
				t.Errorf("%d last lines of %d bytes, want %d", got, len(last), test.last)
			}
			said(t, last) // each is whole
		})
	}
}

// A short line after one that found no room is not kept among the first: it would stand beside what it does not follow.
func TestTheFirstLinesHaveNoGap(t *testing.T) {
	var out bytes.Buffer
	l := newLogs(t, Direct(&out))
	for range 3 {
		l.Logger().Info("long", zap.String("pad", strings.Repeat("x", 60_000)))
	}
	l.Logger().Info("short")
	if first, _ := l.Kept(); !bytes.HasPrefix(out.Bytes(), first) || bytes.Count(first, []byte("\n")) != 2 {
		t.Errorf("%d first lines", bytes.Count(first, []byte("\n")))
	}
}

// What did not leave the process is what an operator has no other way to see.
func TestLinesThatWereDroppedAreKept(t *testing.T) {
	l := newLogs(t, Shipped(nil, Bounds{Lines: 1}))
	for range 3 {
		l.Logger().Info("work")
	}
	if _, last := l.Kept(); l.Dropped() != 2 || len(said(t, last)) != 3 {
		t.Errorf("%d dropped, %d kept", l.Dropped(), len(said(t, last)))
	}
}

func TestLinesAreKeptWhileOthersLog(t *testing.T) {
	l := newLogs(t, Direct(&bytes.Buffer{}))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 2000 {
				l.Logger().Info("work", zap.String("pad", strings.Repeat("x", 900)))
			}
		})
	}
	for range 20 {
		_, last := l.Kept()
		said(t, last)
	}
	all.Wait()
}
