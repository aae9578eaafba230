package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// build is what the script tells of the build, which no binary says.
type build struct {
	values map[string]string // commit, state, go, flags …
	linked []deb             // what of the machine's own packages is linked into the binaries
	tools  []deb             // what compiled and linked them
	files  []material        // what else went into an artefact, such as kernels
}

// deb is an installed Debian package.
type deb struct{ name, version, arch string }

func (d deb) purl(release string) string {
	return fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s&distro=%s", d.name, strings.ReplaceAll(d.version, "+", "%2B"), d.arch, release)
}

// material is a file that was not built here.
type material struct{ name, sha256 string }

// readBuild reads lines NAME=VALUE. Some names may come more than once: linked and tool, whose values are "package version
// architecture", and file, whose value is "sha256 name".
func readBuild(name string) (build, error) {
	b := build{values: map[string]string{}}
	data, err := os.ReadFile(name)
	if err != nil {
		return b, err
	}
	for line := range strings.Lines(string(data)) {
		if err := b.add(strings.TrimSuffix(line, "\n")); err != nil {
			return b, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, key := range []string{"commit", "go", "goroot", "distro"} {
		if b.values[key] == "" {
			return b, fmt.Errorf("%s does not say %s", name, key)
		}
	}
	return b, nil
}

func (b *build) add(line string) error {
	key, value, ok := strings.Cut(line, "=")
	fields := strings.Fields(value)
	if !ok || len(fields) == 0 {
		return fmt.Errorf("%q is not NAME=VALUE", line)
	}
	switch key {
	case "linked", "tool":
		if len(fields) != 3 {
			return fmt.Errorf("%q is not a package, its version and its architecture", line)
		}
		d := deb{fields[0], fields[1], fields[2]}
		if key == "linked" {
			b.linked = append(b.linked, d)
		} else {
			b.tools = append(b.tools, d)
		}
	case "file":
		if len(fields) != 2 || len(fields[0]) != hex.EncodedLen(sha256.Size) {
			return fmt.Errorf("%q is not a SHA-256 and a name", line)
		}
		b.files = append(b.files, material{fields[1], fields[0]})
	default:
		if _, twice := b.values[key]; twice {
			return fmt.Errorf("%s stands there twice", key)
		}
		b.values[key] = value
	}
	return nil
}
