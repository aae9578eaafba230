// Package ramdisk writes and reads the archives that a Linux kernel unpacks into memory when it boots.
package ramdisk

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Mode is the type and the permissions of a file, as Linux has them in st_mode.
type Mode uint32

// The types of files that an archive is made of, and the bits that hold the type.
const (
	Directory Mode = 0o040000
	Regular   Mode = 0o100000
	Symlink   Mode = 0o120000

	typeBits = 0o170000
)

// Type is the mode without its permissions.
func (m Mode) Type() Mode { return m & typeBits }

// Perm is the mode without its type: permissions, set-user-id, set-group-id and sticky bit.
func (m Mode) Perm() Mode { return m &^ typeBits }

func (m Mode) String() string {
	kind := map[Mode]string{
		Directory: "directory", Regular: "file", Symlink: "symlink",
		0o020000: "character device", 0o060000: "block device", 0o010000: "fifo", 0o140000: "socket",
	}[m.Type()]
	if kind == "" {
		kind = fmt.Sprintf("type %o", uint32(m.Type()))
	}
	return fmt.Sprintf("%s %04o", kind, uint32(m.Perm()))
}

// The limits of what is read and written. An enclave holds its ramdisks in memory, several times over while it starts.
const (
	// MaxBytes is the most that all bodies of one archive may have together, unpacked.
	MaxBytes = 2 << 30
	// MaxFiles is the most files of one archive.
	MaxFiles = 1 << 18
	// maxName is what a kernel takes (PATH_MAX), its last zero byte included; for targets of symlinks too.
	maxName = 4096
	// maxNames is the most bytes of all names and targets together.
	maxNames = 64 << 20
	// maxUnpacked is the most bytes that are read of one archive, unpacked: bodies, heads and the zeros between them.
	maxUnpacked = MaxBytes + 1<<30
)

// errName is a name that means another file than it says, or none.
var errName = errors.New("is not a plain path below the root")

// CheckName makes sure that a name is a path below the root in its one form: no slash at either end, no empty element, none that is
// "." or "..", no zero byte.
func CheckName(name string) error {
	switch {
	case len(name) >= maxName:
		return fmt.Errorf("name of %d bytes, at most %d are allowed", len(name), maxName-1)
	case name == trailer:
		return fmt.Errorf("%q ends an archive", name)
	case name == "" || name == "." || path.Clean("/"+name) != "/"+name || strings.ContainsRune(name, 0):
		return fmt.Errorf("%q %w", name, errName)
	}
	return nil
}

// checkTarget refuses a symlink whose target climbs above the root, as seen from where the link stands.
func checkTarget(name, target string) error {
	if target == "" || len(target) >= maxName || strings.ContainsRune(target, 0) {
		return fmt.Errorf("symlink to %.80q: want 1 to %d bytes without zero", target, maxName-1)
	}
	depth := 0
	if !strings.HasPrefix(target, "/") {
		depth = strings.Count(name, "/")
	}
	for element := range strings.SplitSeq(target, "/") {
		switch element {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return fmt.Errorf("symlink to %q, which is above the root", target)
			}
		default:
			depth++
		}
	}
	return nil
}
