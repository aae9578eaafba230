package ramdisk_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

func named(name string) part { return part{mode: 0o100644, name: name} }

// TestReadStreams reads what a kernel takes: archives one after another, plain or compressed.
func TestReadStreams(t *testing.T) {
	a, b := archive(named("a")), archive(named("./b"), part{mode: 0o040755, name: "."})
	for name, stream := range map[string]string{
		"plain":             a + b,
		"filled":            filled(a, 512) + "\x00\x00\x00\x00" + filled(b, 512),
		"compressed":        zipped(t, a) + zipped(t, b),
		"compressed at all": zipped(t, a+"\x00\x00\x00\x00"+b) + "\x00\x00\x00\x00\x00",
		"mixed":             a + zipped(t, b),
		"the other way":     filled(zipped(t, a), 4) + b,
	} {
		files, err := ramdisk.Read(strings.NewReader(stream))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var names []string
		for _, f := range files {
			names = append(names, f.Name)
		}
		if diff := cmp.Diff([]string{"a", "b", "."}, names); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if files, err := ramdisk.Read(strings.NewReader("")); err != nil || files != nil {
		t.Errorf("nothing: %v, %v", files, err)
	}
}

func TestReadOtherFiles(t *testing.T) {
	device := strings.Replace(part{mode: 0o020600, name: "dev/console", links: 1}.bytes(), strings.Repeat("0", 16)+"0000000c", "0000000500000001"+"0000000c", 1)
	files, err := ramdisk.Read(strings.NewReader(device + part{mode: 0o040755, name: "d", links: 7}.bytes() + end.bytes()))
	if err != nil || len(files) != 2 || files[0].Device != [2]uint32{5, 1} {
		t.Errorf("got %+v, %v", files, err)
	}
}

func TestReadRefuses(t *testing.T) {
	long := strings.Repeat("n", 4096)
	for _, test := range []struct{ name, stream, words string }{
		{"escape", archive(named("../a")), "not a plain path"},
		{"escape within", archive(named("a/../../b")), "not a plain path"},
		{"absolute", archive(named("/a")), "not a plain path"},
		{"escape after a dot", archive(named("./../a")), "not a plain path"},
		{"twice", archive(named("a"), named("a")), `"a" stands there a second time`},
		{"twice in two forms", archive(named("a"), named("./a")), `"a" stands there a second time`},
		{"twice in two archives", archive(named("a")) + zipped(t, archive(named("a"))), `"a" stands there a second time`},
		{"below a symlink", archive(part{mode: 0o120777, name: "l", body: "/etc"}, named("l/x")), `"l" above it is no directory`},
		{"below a file", archive(named("f"), named("f/d/x")), `"f" above it is no directory`},
		{"hard link", archive(part{mode: 0o100644, name: "a", links: 2}), "hard links are not read"},
		{"directory with a body", archive(part{mode: 0o040755, name: "d", body: "x"}), "directory 0755 with a body"},
		{"other magic", archive(part{magic: "070702", name: "a"}), `magic number "070702"`},
		{"no number", strings.Replace(archive(named("a")), "000081a4", "+00081a4", 1), `"+00081a4", want eight hexadecimal digits`},
		{"no number either", strings.Replace(archive(named("a")), "000081a4", "0x0081a4", 1), "want eight hexadecimal digits"},
		{"no name", archive(part{nameSize: 1}), "name of 1 bytes"},
		{"long name", archive(named(long)), "name of 4097 bytes, want 2 to 4096"},
		{"name without an end", archive(part{mode: 0o100644, name: "abc", nameSize: 3}), "does not end with its one zero byte"},
		{"name with a zero", archive(named("a\x00b")), "does not end with its one zero byte"},
		{"body of the trailer", part{name: "TRAILER!!!", body: "x"}.bytes(), "the trailer has a body"},
		{"no trailer", named("a").bytes(), "unexpected EOF"},
		{"body cut off", part{mode: 0o100644, name: "a", body: "abc", size: 0x7fffffff}.bytes(), "unexpected EOF"},
		{"head cut off", archive(named("a"))[:50], "unexpected EOF"},
		{"long symlink", archive(part{mode: 0o120777, name: "l", body: long}), "symlink to a name of 4096 bytes"},
		{"symlink to nothing", archive(part{mode: 0o120777, name: "l"}), `symlink to ""`},
		{"filled up with something", strings.Replace(archive(named("abcd")), "abcd\x00\x00", "abcd\x00x", 1), "want zeros"},
		{"other compression", "\xfd7zXZ\x00", "neither an archive of the format newc nor gzip, it begins with 0xfd"},
		{"compressed twice", zipped(t, zipped(t, archive(named("a")))), "it begins with 0x1f"},
		{"broken compression", zipped(t, archive(named("a")))[:40], "unexpected EOF"},
		{"wrong sum", wrongSum(zipped(t, archive(named("a")))), "invalid checksum"},
		{"not at a multiple of four", "\x00" + archive(named("a")), "it begins with 0x30"},
	} {
		files, err := ramdisk.Read(strings.NewReader(test.stream))
		if err == nil || files != nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: got %d files, %v; want %q", test.name, len(files), err, test.words)
		}
	}
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestReadEndsInZeros: what stands between archives counts as well. Each byte by itself, it takes minutes here.
func TestReadEndsInZeros(t *testing.T) {
	if files, err := ramdisk.Read(zeros{}); err == nil || files != nil || !strings.Contains(err.Error(), "more than 3221225472 bytes") {
		t.Errorf("got %d files, %v", len(files), err)
	}
}

// wrongSum changes the checksum at the end of compressed bytes.
func wrongSum(z string) string { return z[:len(z)-8] + string([]byte{z[len(z)-8] ^ 1}) + z[len(z)-7:] }

// FuzzRead holds Read to its word: no panic, an error comes without files, names are plain, stand there once, and below directories.
func FuzzRead(f *testing.F) {
	f.Add([]byte(archive(named("a"), part{mode: 0o040755, name: "d"}, part{mode: 0o120777, name: "d/l", body: "../a"})))
	f.Add([]byte(zipped(f, archive(named("./a"))) + "\x00\x00" + zipped(f, archive(named("b")))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		files, err := ramdisk.Read(strings.NewReader(string(raw)))
		if err != nil {
			if files != nil {
				t.Error("files with an error")
			}
			return
		}
		seen := map[string]ramdisk.Mode{}
		for _, file := range files {
			if _, twice := seen[file.Name]; twice || file.Name != "." && ramdisk.CheckName(file.Name) != nil {
				t.Errorf("name %q", file.Name)
			}
			seen[file.Name] = file.Mode
			for i, c := range file.Name {
				if mode, ok := seen[file.Name[:i]]; c == '/' && ok && mode.Type() != ramdisk.Directory {
					t.Errorf("%q below a %v", file.Name, mode)
				}
			}
		}
		if changes := ramdisk.Compare(files, files); changes != nil {
			t.Errorf("it differs from itself: %v", changes)
		}
	})
}
