package ramdisk

import (
	"fmt"
	"maps"
	"slices"
)

// Change is one file by which two archives differ.
type Change struct {
	Name string `json:"name"`
	Kind string `json:"change"` // added, removed or changed
	// What differs, such as "mode file 0644 → file 0755"; of a file on one side only, what it is.
	What []string `json:"what"`
}

// Compare gives the files by which two archives differ, in the order of their names. Order, numbering and compression are not looked at.
func Compare(before, after []File) []Change {
	old, now := byName(before), byName(after)
	all := maps.Clone(old)
	maps.Copy(all, now)
	var out []Change
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a, hadIt := old[name]
		b, hasIt := now[name]
		switch {
		case !hadIt:
			out = append(out, Change{name, "added", b.describe()})
		case !hasIt:
			out = append(out, Change{name, "removed", a.describe()})
		case a != b:
			out = append(out, Change{name, "changed", a.differences(b)})
		}
	}
	return out
}

func byName(files []File) map[string]File {
	out := map[string]File{}
	for _, f := range files {
		out[f.Name] = f
	}
	return out
}

// properties are what a file is, in words, by what each is called.
func (f File) properties() [][2]string {
	out := [][2]string{{"mode", f.Mode.String()}}
	if f.Mode.Type() == Regular {
		out = append(out, [2]string{"size", fmt.Sprint(f.Size)}, [2]string{"content", fmt.Sprintf("sha256:%x", f.SHA256)})
	}
	if f.Mode.Type() == Symlink {
		out = append(out, [2]string{"target", fmt.Sprintf("%q", f.Target)})
	}
	return append(out,
		[2]string{"owner", fmt.Sprintf("%d:%d", f.UID, f.GID)},
		[2]string{"time", fmt.Sprint(f.Modified)},
		[2]string{"device", fmt.Sprintf("%d:%d", f.Device[0], f.Device[1])},
	)
}

func (f File) describe() (out []string) {
	for _, p := range f.properties() {
		switch p[0] {
		case "mode", "size", "content", "target":
			out = append(out, p[0]+" "+p[1])
		}
	}
	return out
}

func (f File) differences(other File) (out []string) {
	after := map[string]string{}
	for _, p := range other.properties() {
		after[p[0]] = p[1]
	}
	for _, p := range f.properties() {
		if now, ok := after[p[0]]; ok && now != p[1] {
			out = append(out, fmt.Sprintf("%s %s → %s", p[0], p[1], now))
		}
	}
	return out
}
