package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

func TestCursor(t *testing.T) {
	for want, p := range map[store.Cursor]position{
		0:                     {},
		7:                     {change: 7},
		0xffff_ffff_ffff:      {change: maxChange},
		0x0001_0000_0000_0000: {incarnation: 1},
		0x0102_0000_0000_0003: {incarnation: 0x102, change: 3},
		1<<64 - 1:             {incarnation: maxIncarnation, change: maxChange},
	} {
		if got := p.cursor(); got != want || positionOf(want) != p {
			t.Errorf("%+v: cursor %#x, want %#x, which is %+v", p, got, want, positionOf(want))
		}
	}
}

func TestReaches(t *testing.T) {
	now := position{incarnation: 2, change: 5}
	for _, tc := range []struct {
		after       position
		want, cause error
	}{
		{position{2, 5}, nil, nil},
		{position{2, 0}, nil, nil},
		{position{}, nil, nil},
		{position{2, 6}, store.ErrCursor, nil},
		{position{1, 5}, store.ErrCursor, errIncarnation},
		{position{0, 1}, store.ErrCursor, errIncarnation},
		{position{1, 0}, store.ErrCursor, errIncarnation},
		{position{3, 1}, store.ErrCursor, errIncarnation},
	} {
		err := now.reaches(tc.after.cursor())
		if !errors.Is(err, tc.want) || errors.Is(err, errIncarnation) != (tc.cause != nil) {
			t.Errorf("%+v: %v", tc.after, err)
		}
	}
}

// TestIncarnations: each has one number, the first 0, until there are no more.
func TestIncarnations(t *testing.T) {
	var i incarnations
	started := func(n int) time.Time { return time.UnixMicro(1_800_000_000_000_000 - int64(n)) }
	for n := range maxIncarnation + 1 {
		i.seen = append(i.seen, started(n).UnixMicro())
		if n == 2 {
			i.seen = i.seen[:0]
			for _, n := range []uint64{0, 1, 0, 2, 1, 2} {
				if got, err := i.number(started(int(n))); err != nil || got != n {
					t.Errorf("number %d, %v; want %d", got, err, n)
				}
			}
		}
	}
	if got, err := i.number(started(maxIncarnation)); err != nil || got != maxIncarnation {
		t.Errorf("the last one: %d, %v", got, err)
	}
	if got, err := i.number(started(maxIncarnation + 1)); !errors.Is(err, store.ErrUnavailable) || got != 0 {
		t.Errorf("one too many: %d, %v", got, err)
	}
}
