package lines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestWriterEscapes(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"plain", `{"a":1}`, `{"a":1}` + "\n"},
		{"newline kept once", "{}\n", "{}\n"},
		{"empty", "", "\n"},
		{"newline inside", "a\nb", `a\u000ab` + "\n"},
		{"carriage return", "a\r\n", `a\u000d` + "\n"},
		{"terminal escape", "\x1b[2J", `\u001b[2J` + "\n"},
		{"delete", "a\x7f", `a\u007f` + "\n"},
		{"C1 as UTF-8", "\u009b31m", `\u009b31m` + "\n"},
		{"C1 as a byte", "\x9b31m", `\u009b31m` + "\n"},
		{"invalid UTF-8", "a\xffb", `a\u00ffb` + "\n"},
		{"line separator", "a\u2028b", `a\u2028b` + "\n"},
		{"direction override", "a\u202eb", `a\u202eb` + "\n"},
		{"above the basic plane", "a\U000e0001b", `a\udb40\udc01b` + "\n"},
		{"letters of other scripts", "Schlüssel 鍵", "Schlüssel 鍵\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			n, err := New(&out).Write([]byte(test.in))
			if err != nil || n != len(test.in) {
				t.Fatalf("Write = %d, %v; want %d, nil", n, err, len(test.in))
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// calls fails the test's law if a line arrives in more than one call.
type calls struct{ got []string }

func (c *calls) Write(p []byte) (int, error) {
	c.got = append(c.got, string(p))
	return len(p), nil
}

func TestWriterWritesEachLineInOneCall(t *testing.T) {
	var out calls
	w := New(&out)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				_, _ = fmt.Fprintf(w, "writer %d", i)
			}
		})
	}
	all.Wait()
	if len(out.got) != 400 {
		t.Fatalf("%d calls, want 400", len(out.got))
	}
	for _, call := range out.got {
		if !strings.HasPrefix(call, "writer ") || strings.Count(call, "\n") != 1 || !strings.HasSuffix(call, "\n") {
			t.Errorf("call with %q is not one line", call)
		}
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriterReturnsTheStreamsError(t *testing.T) {
	if n, err := New(full{}).Write([]byte("x")); n != 0 || !errors.Is(err, errFull) {
		t.Errorf("Write = %d, %v; want 0, %v", n, err, errFull)
	}
}

func FuzzAppendPrintable(f *testing.F) {
	for _, seed := range []string{"", "plain", `{"a":"b"}`, "\x1b]0;x\a", "\xff\xfe", "\u2029", `{"a":"\u001b"}`, "{\"a\":\"\u0085\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out := AppendPrintable(nil, in)
		if !utf8.Valid(out) {
			t.Fatalf("%q is not UTF-8", out)
		}
		for _, r := range string(out) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q contains %U", out, r)
			}
		}
		if !utf8.Valid(in) || !json.Valid(in) || bytes.ContainsAny(in, "\t\r\n") {
			return
		}
		var before, after any
		if err := json.Unmarshal(in, &before); err != nil {
			return // a number out of range
		}
		if err := json.Unmarshal(out, &after); err != nil {
			t.Fatalf("%q became %q: %v", in, out, err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
	})
}
