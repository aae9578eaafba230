package progress

import (
	"bytes"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// line is a log line and when it came.
type line struct {
	At               time.Duration
	Done, Of, Errors int64
	Left             time.Duration
}

// linesOf runs a load of so many keys that takes so long, evenly, and returns what the log says of it.
func linesOf(t *testing.T, keys int, takes time.Duration) (lines []line) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		core, seen := observer.New(zapcore.InfoLevel)
		began := time.Now()
		During(func() { pass(takes) }, func() filesystem.Progress {
			since := time.Since(began)
			return filesystem.Progress{Total: keys, Done: int(int64(keys) * int64(since) / int64(takes)), Failed: 2, Left: takes - since}
		}, zap.New(core), nil)
		for _, e := range seen.All() {
			if e.Message != "loading keys" {
				t.Errorf("line %q", e.Message)
			}
			fields := e.ContextMap()
			l := line{At: e.Time.Sub(began), Done: fields["done"].(int64), Of: fields["of"].(int64), Errors: fields["errors"].(int64)}
			l.Left, _ = fields["left"].(time.Duration)
			lines = append(lines, l)
		}
	})
	return lines
}

func TestLines(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		name  string
		keys  int
		takes time.Duration
		want  []line
	}{
		{"over at once", 1000, 900 * time.Millisecond, nil},
		{"no keys yet", 0, time.Minute, nil},
		{"once a second", 1000, 3500 * time.Millisecond, []line{{1 * s, 285, 1000, 2, 3 * s}, {2 * s, 571, 1000, 2, 2 * s}, {3 * s, 857, 1000, 2, s}}},
		{"every tenth", 1000, 25 * s, []line{
			{2600 * time.Millisecond, 104, 1000, 2, 22 * s},
			{5200 * time.Millisecond, 208, 1000, 2, 20 * s},
			{7800 * time.Millisecond, 312, 1000, 2, 17 * s},
			{10400 * time.Millisecond, 416, 1000, 2, 15 * s},
			{13 * s, 520, 1000, 2, 12 * s},
			{15600 * time.Millisecond, 624, 1000, 2, 9 * s},
			{18200 * time.Millisecond, 728, 1000, 2, 7 * s},
			{20800 * time.Millisecond, 832, 1000, 2, 4 * s},
			{23400 * time.Millisecond, 936, 1000, 2, 2 * s},
		}},
		{"every five seconds, and a quarter of them in between", 4, 21900 * time.Millisecond, []line{
			{5 * s, 0, 4, 2, 17 * s}, {6 * s, 1, 4, 2, 16 * s}, {11 * s, 2, 4, 2, 11 * s}, {16 * s, 2, 4, 2, 6 * s}, {17 * s, 3, 4, 2, 5 * s},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, linesOf(t, tc.keys, tc.takes)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// screen shows what a terminal that knows \r, \b and \n does.
type screen struct {
	mu   sync.Mutex // held while the fields below are used
	rows []string   // those above the last
	row  []byte     // the last one
	at   int        // the cursor's column
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range b {
		switch c {
		case '\r':
			s.at = 0
		case '\b':
			s.at--
		case '\n':
			s.rows = append(s.rows, s.text())
			s.row, s.at = nil, 0
		default:
			if s.at == len(s.row) {
				s.row = append(s.row, ' ')
			}
			s.row[s.at] = c
			s.at++
		}
	}
	return len(b), nil
}

func (s *screen) text() string { return string(bytes.TrimRight(s.row, " ")) }

// look is the rows above, the last row, and the column of the cursor.
func (s *screen) look() ([]string, string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows, s.text(), s.at
}

func barOn(s *screen, columns int) *Bar {
	return &Bar{lines: s, screen: s, columns: func() int { return columns }}
}

// TestBarAmongLines of one terminal: the lines stand above, whole; the bar moves, shrinks, and is gone in the end.
func TestBarAmongLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{}
		b := barOn(s, 80)
		p := filesystem.Progress{}
		want := func(last string, above ...string) {
			t.Helper()
			rows, row, at := s.look()
			if diff := cmp.Diff(above, rows); diff != "" || row != last || at != len(last) {
				t.Errorf("row %q with the cursor at %d, want %q; above (-want +got):\n%s", row, at, last, diff)
			}
		}
		line := func(text string) {
			t.Helper()
			if n, err := b.Write([]byte(text + "\n")); n != len(text)+1 || err != nil {
				t.Errorf("line %q: %d, %v", text, n, err)
			}
		}
		var mu sync.Mutex // held while p is used
		set := func(now filesystem.Progress) {
			mu.Lock()
			p = now
			mu.Unlock()
			pass(tick)
			synctest.Wait()
		}
		line("before")
		During(func() {
			set(filesystem.Progress{})
			want("", "before")
			set(filesystem.Progress{Total: 12, Done: 3, Failed: 1, Left: 3723 * time.Second})
			want("keys [######------------------] 3 of 12, 1 failed, about 1h2m3s left", "before")
			line("during")
			want("keys [######------------------] 3 of 12, 1 failed, about 1h2m3s left", "before", "during")
			set(filesystem.Progress{Total: 12, Done: 12})
			want("keys [########################] 12 of 12", "before", "during")
		}, func() filesystem.Progress {
			mu.Lock()
			defer mu.Unlock()
			return p
		}, zap.NewNop(), b)
		want("", "before", "during")
		line("after")
		want("", "before", "during", "after")
	})
}

// TestBarOnANarrowTerminal is cut, because a row that is full makes a new one.
func TestBarOnANarrowTerminal(t *testing.T) {
	s := &screen{}
	barOn(s, 21).show(filesystem.Progress{Total: 12, Done: 12})
	if _, row, _ := s.look(); row != "keys [##############" {
		t.Errorf("row %q", row)
	}
	barOn(s, 0).show(filesystem.Progress{Total: 12, Done: 12})
}

// TestLinesElsewhere: a log that goes into a file gets nothing of the bar.
func TestLinesElsewhere(t *testing.T) {
	var file bytes.Buffer
	s := &screen{}
	b := &Bar{lines: &file, screen: s, columns: func() int { return 80 }}
	b.show(filesystem.Progress{Total: 2, Done: 1})
	if _, err := b.Write([]byte("line\n")); err != nil || file.String() != "line\n" {
		t.Errorf("file %q, %v", &file, err)
	}
	if rows, row, _ := s.look(); len(rows) != 0 || row != "keys [############------------] 1 of 2" {
		t.Errorf("screen %q, above %q", row, rows)
	}
}
