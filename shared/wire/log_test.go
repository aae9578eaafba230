package wire

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// logLine is one answer of Next.
type logLine struct {
	text string
	cut  int
	err  error
}

// lines reads until the stream has ended.
func lines(r io.Reader) []logLine {
	l := NewLogReader(r)
	var all []logLine
	for {
		line, cut, err := l.Next()
		all = append(all, logLine{string(line), cut, err})
		if err != nil {
			return all
		}
	}
}

func TestLogReader(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	const most = MaxLogLine - 1 // without the newline
	for _, tt := range []struct {
		name, stream string
		want         []logLine
	}{
		{"nothing", "", []logLine{{"", 0, io.EOF}}},
		{"one line", "{}\n", []logLine{{"{}", 0, nil}, {"", 0, io.EOF}}},
		{"empty lines", "\n\n", []logLine{{"", 0, nil}, {"", 0, nil}, {"", 0, io.EOF}}},
		{"a carriage return is a byte like others", "a\r\n", []logLine{{"a\r", 0, nil}, {"", 0, io.EOF}}},
		{"exactly the limit", x(most) + "\nb\n", []logLine{{x(most), 0, nil}, {"b", 0, nil}, {"", 0, io.EOF}}},
		{"one too many", x(most+1) + "\nb\n", []logLine{{x(most), 1, nil}, {"b", 0, nil}, {"", 0, io.EOF}}},
		{"two too many", x(most+2) + "\nb\n", []logLine{{x(most), 2, nil}, {"b", 0, nil}, {"", 0, io.EOF}}},
		{
			"twice the limit", x(2*MaxLogLine) + "\nb\n",
			[]logLine{{x(most), 2*MaxLogLine - most, nil}, {"b", 0, nil}, {"", 0, io.EOF}},
		},
		{
			"many times the limit", x(5*MaxLogLine+17) + "\nb\n",
			[]logLine{{x(most), 5*MaxLogLine + 17 - most, nil}, {"b", 0, nil}, {"", 0, io.EOF}},
		},
		{"truncated last line", "a\nb", []logLine{{"a", 0, nil}, {"b", 0, ErrLineTruncated}}},
		{"truncated at the limit", x(most), []logLine{{x(most), 0, ErrLineTruncated}}},
		{"truncated beyond the limit", x(most + 1), []logLine{{x(most), 1, ErrLineTruncated}}},
		{"truncated far beyond the limit", x(most + 70000), []logLine{{x(most), 70000, ErrLineTruncated}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole":     strings.NewReader(tt.stream),
				"in halves": iotest.HalfReader(strings.NewReader(tt.stream)),
				"with EOF":  iotest.DataErrReader(strings.NewReader(tt.stream)),
			} {
				compare(t, name, tt.want, lines(r))
			}
		})
	}
}

func compare(t *testing.T, name string, want, got []logLine) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d lines, want %d", name, len(got), len(want))
	}
	for i, w := range want {
		if g := got[i]; g.text != w.text || g.cut != w.cut || !errors.Is(g.err, w.err) {
			t.Errorf("%s: line %d is %d bytes, %d cut, %v; want %d bytes, %d cut, %v",
				name, i, len(g.text), g.cut, g.err, len(w.text), w.cut, w.err)
		}
	}
}

// The last words of an enclave that crashed are kept, and the reason why they end too.
func TestLogReaderFailureOfTheStream(t *testing.T) {
	reset := errors.New("connection reset")
	for _, tt := range []struct {
		name, stream string
		text         string
		cut          int
		truncated    bool
	}{
		{"between lines", "a\n", "", 0, false},
		{"within a line", "a\npanic: nil", "panic: nil", 0, true},
		{"within a long line", "a\n" + strings.Repeat("x", MaxLogLine+9), strings.Repeat("x", MaxLogLine-1), 10, true},
	} {
		got := lines(io.MultiReader(strings.NewReader(tt.stream), iotest.ErrReader(reset)))
		compare(t, tt.name, []logLine{{"a", 0, nil}, {tt.text, tt.cut, reset}}, got)
		if err := got[len(got)-1].err; errors.Is(err, ErrLineTruncated) != tt.truncated {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// A stream without a newline is read in bounded memory.
func TestLogReaderMemory(t *testing.T) {
	const size = 16 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, cut, err := NewLogReader(io.LimitReader(endless{}, size)).Next()
	runtime.ReadMemStats(&after)
	if cut != size-MaxLogLine+1 || !errors.Is(err, ErrLineTruncated) {
		t.Errorf("%d bytes cut, %v", cut, err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 4*MaxLogLine {
		t.Errorf("%d bytes allocated", got)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// FuzzLogReader holds the law: nothing is lost but what is said to be cut.
func FuzzLogReader(f *testing.F) {
	for _, seed := range []string{"", "\n", "{}\n", "a\nb", "a\n\n\nb\n", strings.Repeat("x", MaxLogLine) + "\ny"} {
		f.Add([]byte(seed), uint32(0))
	}
	f.Add([]byte("a\nb\n"), uint32(MaxLogLine))
	f.Add([]byte("a"), uint32(3*MaxLogLine))
	f.Fuzz(func(t *testing.T, data []byte, padding uint32) {
		// The fuzzer does not make long inputs by itself.
		data = append(bytes.Repeat([]byte("x"), int(padding%(4*MaxLogLine))), data...)
		want := bytes.Split(data, []byte("\n"))
		l := NewLogReader(iotest.HalfReader(bytes.NewReader(data)))
		for i := 0; ; i++ {
			line, cut, err := l.Next()
			if errors.Is(err, io.EOF) && !errors.Is(err, ErrLineTruncated) {
				if i != len(want)-1 || len(want[i]) != 0 {
					t.Fatalf("the end after %d lines of %d", i, len(want))
				}
				return
			}
			if len(line) >= MaxLogLine || len(line)+cut != len(want[i]) || !bytes.HasPrefix(want[i], line) {
				t.Fatalf("line %d: %d bytes, %d cut, of %d", i, len(line), cut, len(want[i]))
			}
			if err != nil {
				if i != len(want)-1 || !errors.Is(err, ErrLineTruncated) {
					t.Fatalf("line %d of %d: %v", i, len(want), err)
				}
				return
			}
		}
	})
}
