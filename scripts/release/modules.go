package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

const source = "https://github.com/unforeseen-consequences/containment-chamber"

// ourModules begins the paths of the modules of this repository.
const ourModules = "github.com/unforeseen-consequences/containment-chamber/"

// module is a Go module that stands in a binary.
type module struct{ path, version, sum string } // sum as in go.sum, "h1:…"

// program is one binary and what it says of itself.
type program struct {
	name    string
	sha256  string
	main    string // import path of its main package
	cgo     bool   // linked with the C library
	modules []module
}

// readProgram reads what Go recorded in a binary. A module of this repository is no dependency and is left out; any other without a
// checksum is an error, for nobody could tell which source it was.
func readProgram(name string) (program, error) {
	info, err := buildinfo.ReadFile(name)
	if err != nil {
		return program{}, err
	}
	digest, err := fileDigest(name)
	if err != nil {
		return program{}, err
	}
	p := program{name: filepath.Base(name), sha256: digest, main: info.Path, cgo: slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"})}
	for _, dep := range info.Deps {
		if strings.HasPrefix(dep.Path, ourModules) {
			continue
		}
		if dep.Replace != nil {
			dep = dep.Replace
		}
		if !strings.HasPrefix(dep.Sum, "h1:") {
			return program{}, fmt.Errorf("%s: module %s %s has no checksum", name, dep.Path, dep.Version)
		}
		p.modules = append(p.modules, module{dep.Path, dep.Version, dep.Sum})
	}
	// The standard library stands in the binary as well, and scanners know its holes under this name.
	p.modules = append(p.modules, module{"stdlib", strings.TrimPrefix(info.GoVersion, "go"), ""})
	return p, nil
}

func readPrograms(names []string) ([]program, error) {
	var programs []program
	for _, name := range names {
		p, err := readProgram(name)
		if err != nil {
			return nil, err
		}
		programs = append(programs, p)
	}
	slices.SortFunc(programs, func(a, b program) int { return cmp.Compare(a.name, b.name) })
	return programs, nil
}

// allModules are those of any of the programs, in order.
func allModules(programs []program) []module {
	found := map[module]bool{}
	for _, p := range programs {
		for _, m := range p.modules {
			found[m] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b module) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.version, b.version))
	})
}

// purl names a module as https://github.com/package-url/purl-spec has it for Go.
func (m module) purl() string {
	return "pkg:golang/" + strings.ToLower(m.path) + "@" + strings.ReplaceAll(m.version, "+", "%2B")
}

// dirHash is the sum as in-toto writes it: hexadecimal, without h1.
func (m module) dirHash() (string, error) {
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.sum, "h1:"))
	if err != nil || len(sum) != sha256.Size {
		return "", fmt.Errorf("module %s %s: checksum %q is not of 32 bytes in base64", m.path, m.version, m.sum)
	}
	return hex.EncodeToString(sum), nil
}

// dir is where the module lies in the module cache, whose file names have each capital as an exclamation mark and a small letter.
func (m module) dir(cache string) string {
	return filepath.Join(cache, escape(m.path)+"@"+escape(m.version))
}

func escape(name string) string {
	var b strings.Builder
	for _, r := range name {
		if 'A' <= r && r <= 'Z' {
			b.WriteByte('!')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func fileDigest(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
