package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

var digest = [DigestSize]byte{1, 2, 3, 47: 48}

// frames are messages beside their bytes.
var frames = []struct {
	name    string
	message Message
	bytes   string
}{
	{"hello", Hello{Version: 1}, "\x01\x00\x00\x00\x03\x00\x01\x00"},
	{"hello again", Hello{Version: 0x0102, Configured: true}, "\x01\x00\x00\x00\x03\x01\x02\x01"},
	{"configuration", Configuration{YAML: []byte("a: b\n")}, "\x02\x00\x00\x00\x05a: b\n"},
	{"empty configuration", Configuration{YAML: []byte{}}, "\x02\x00\x00\x00\x00"},
	{"acknowledgement", Acknowledgement{Digest: digest}, "\x03\x00\x00\x00\x30" + string(digest[:])},
	{"heartbeat", Heartbeat{Digest: digest}, "\x04\x00\x00\x00\x30" + string(digest[:])},
	{"refusal", Refusal{Reason: "version 2"}, "\x05\x00\x00\x00\x09version 2"},
	{"empty refusal", Refusal{}, "\x05\x00\x00\x00\x00"},
	{"identity request", IdentityRequest{Version: 1}, "\x06\x00\x00\x00\x02\x00\x01"},
	{"no identity", Identity{Source: NoSource}, "\x07\x00\x00\x00\x01\x01"},
	{"web identity", Identity{Source: WebIdentity, Name: "role", Token: "token"}, "\x07\x00\x00\x00\x0c\x02\x00\x04roletoken"},
	{"pod identity", Identity{Source: PodIdentity, Name: "u", Token: "t"}, "\x07\x00\x00\x00\x05\x03\x00\x01ut"},
	{"draining", Draining{}, "\x08\x00\x00\x00\x00"},
}

func TestMessages(t *testing.T) {
	for _, tt := range frames {
		t.Run(tt.name, func(t *testing.T) {
			w := &onceWriter{}
			if err := WriteMessage(w, tt.message); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.bytes, w.String()); diff != "" || w.calls != 1 {
				t.Errorf("%d writes, -want +got:\n%s", w.calls, diff)
			}
			for name, r := range map[string]io.Reader{
				"whole":        strings.NewReader(tt.bytes + "next"),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.bytes)),
			} {
				got, err := ReadMessage(r)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if diff := cmp.Diff(tt.message, got); diff != "" {
					t.Errorf("%s: -want +got:\n%s", name, diff)
				}
			}
		})
	}
}

type onceWriter struct {
	bytes.Buffer
	calls int
}

func (w *onceWriter) Write(b []byte) (int, error) {
	w.calls++
	return w.Buffer.Write(b)
}

func TestMessagesInARow(t *testing.T) {
	var stream bytes.Buffer
	for _, tt := range frames {
		if err := WriteMessage(&stream, tt.message); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range frames {
		got, err := ReadMessage(&stream)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.message, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
	}
	if m, err := ReadMessage(&stream); m != nil || !errors.Is(err, io.EOF) {
		t.Errorf("behind the last message: %v, %v, want io.EOF", m, err)
	}
}

func TestMessageTruncatedAtEachByte(t *testing.T) {
	for _, tt := range frames {
		for cut := 1; cut < len(tt.bytes); cut++ {
			m, err := ReadMessage(strings.NewReader(tt.bytes[:cut]))
			if m != nil || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s cut to %d bytes: %v, %v", tt.name, cut, m, err)
			}
		}
	}
}

func TestReadMessageRefuses(t *testing.T) {
	for _, tt := range []struct{ name, bytes, because string }{
		{"kind zero", "\x00\x00\x00\x00\x00", "unknown message kind 0"},
		{"a kind of the future", "\x09\x00\x00\x00\x00", "unknown message kind 9"},
		{"draining with a reason", "\x08\x00\x00\x00\x01x", "message too large: draining of 1 bytes, limit 0"},
		{"another protocol", "GET / HTTP/1.1\r\n\r\n", "unknown message kind 71"},
		{"short hello", "\x01\x00\x00\x00\x02\x00\x01", "malformed hello"},
		{"long hello", "\x01\x00\x00\x00\x04\x00\x01\x00\x00", "message too large: hello of 4 bytes, limit 3"},
		{"hello that is neither", "\x01\x00\x00\x00\x03\x00\x01\x02", "malformed hello"},
		{"short digest", "\x03\x00\x00\x00\x2f" + string(digest[1:]), "acknowledgement has a digest of 47 bytes, want 48"},
		{"no digest", "\x04\x00\x00\x00\x00", "heartbeat has a digest of 0 bytes, want 48"},
		{"long digest", "\x04\x00\x00\x00\x31" + string(digest[:]) + "x", "message too large: heartbeat of 49 bytes, limit 48"},
		{"long refusal", "\x05\x00\x00\x04\x01" + strings.Repeat("x", 1025), "message too large: refusal of 1025 bytes, limit 1024"},
		{"a length of 4 GiB", "\x02\xff\xff\xff\xff", "message too large: configuration of 4294967295 bytes, limit 1048576"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ReadMessage(strings.NewReader(tt.bytes))
			if m != nil || err == nil || err.Error() != tt.because {
				t.Errorf("ReadMessage = %v, %v, want error %q", m, err, tt.because)
			}
		})
	}
}

// A parent that announces 10 MiB is refused before a byte of it is read or room is made for it.
func TestConfigurationOf10MiB(t *testing.T) {
	header := binary.BigEndian.AppendUint32([]byte{byte(kindConfiguration)}, 10<<20)
	body := iotest.ErrReader(errors.New("the body was read"))
	_, err := ReadMessage(io.MultiReader(bytes.NewReader(header), body))
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v, want %v", err, ErrTooLarge)
	}
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = ReadMessage(bytes.NewReader(header))
		}
	}).AllocedBytesPerOp()
	if allocated > 1<<10 {
		t.Errorf("%d bytes allocated to refuse it", allocated)
	}
}

func TestConfigurationLimit(t *testing.T) {
	largest := Configuration{YAML: bytes.Repeat([]byte("x"), MaxConfiguration)}
	var stream bytes.Buffer
	if err := WriteMessage(&stream, largest); err != nil {
		t.Fatal(err)
	}
	got, err := ReadMessage(&stream)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := got.(Configuration); !ok || !bytes.Equal(c.YAML, largest.YAML) {
		t.Errorf("read %T, not what was written", got)
	}
	err = WriteMessage(&stream, Configuration{YAML: make([]byte, MaxConfiguration+1)})
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "configuration of 1048577 bytes, limit 1048576") {
		t.Errorf("one byte more: %v", err)
	}
	if stream.Len() != 0 {
		t.Errorf("%d bytes were written nevertheless", stream.Len())
	}
}

func TestLongReasonIsCut(t *testing.T) {
	var stream bytes.Buffer
	if err := WriteMessage(&stream, Refusal{Reason: strings.Repeat("x", maxRefusal+1)}); err != nil {
		t.Fatal(err)
	}
	got, err := ReadMessage(&stream)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Message(Refusal{Reason: strings.Repeat("x", maxRefusal)}), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFailuresOfTheStream(t *testing.T) {
	broken := errors.New("broken")
	if err := WriteMessage(failingWriter{broken}, Hello{}); !errors.Is(err, broken) {
		t.Errorf("WriteMessage = %v", err)
	}
	if _, err := ReadMessage(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("ReadMessage of the header = %v", err)
	}
	half := io.MultiReader(strings.NewReader("\x02\x00\x00\x00\x05a"), iotest.ErrReader(broken))
	if _, err := ReadMessage(half); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "read configuration of 5 bytes: ") {
		t.Errorf("ReadMessage of the body = %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// FuzzReadMessage holds the law: what is accepted is written as the same bytes again; beside an error nothing
// is returned.
func FuzzReadMessage(f *testing.F) {
	for _, tt := range frames {
		f.Add([]byte(tt.bytes))
		f.Add([]byte(tt.bytes + "tail"))
		f.Add([]byte(tt.bytes[:len(tt.bytes)-1]))
	}
	f.Add([]byte("\x02\x00\xa0\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		m, err := ReadMessage(r)
		if err != nil {
			if m != nil {
				t.Fatalf("%v beside error %v", m, err)
			}
			return
		}
		var again bytes.Buffer
		if err := WriteMessage(&again, m); err != nil {
			t.Fatal(err)
		}
		if read := data[:len(data)-r.Len()]; !bytes.Equal(again.Bytes(), read) {
			t.Fatalf("read %x, wrote %x", read, again.Bytes())
		}
	})
}
