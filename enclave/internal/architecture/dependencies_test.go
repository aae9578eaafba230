package architecture

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the dependency list of the enclave binary anew")

// banned from the measured binary, each with its reason.
var banned = map[string]string{
	"modernc.org/sqlite":                                     "the enclave has no disk: SQLite there is a database that forgets",
	home + "enclave/internal/nsm/software":                   "a software security module attests what it is told to",
	home + "enclave/internal/slashing/noop":                  "nothing measured may sign without a record",
	home + "enclave/internal/slashing/sqlite":                "a record on a disk that ends with the enclave is none",
	home + "enclave/internal/slashing/storetest":             "for tests only",
	home + "enclave/internal/slashing/postgres/postgrestest": "for tests only",
	home + "enclave/internal/slashing/dynamodb/dynamodbtest": "for tests only",
	home + "enclave/internal/store/sqlite":                   "state on a disk that ends with the enclave is none",
	home + "enclave/internal/store/storetest":                "for tests only",
	home + "enclave/internal/kms/kmstest":                    "for tests only",
	home + "shared/attestation/issuer":                       "it makes documents; the enclave's come from the device",
	home + "shared/vsock/unixvsock":                          "the enclave is reached over AF_VSOCK alone",
	home + "shared/vsock/memvsock":                           "for tests only",
	"github.com/google/go-cmp":                               "for tests only",
	"testing":                                                "for tests only",
}

// maxModules is how many modules our own code in the measured binary may import.
const maxModules = 25

// listed is a package as `go list -json` tells it.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Module     *struct{ Path string }
}

// dependencies lists what a command links on linux, itself included.
func dependencies(t *testing.T, module, command string) map[string]listed {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags=netgo,osusergo",
		"-json=ImportPath,Standard,Imports,Module", command)
	list.Dir = filepath.Join(root, module)
	list.Env = append(os.Environ(), "GOWORK=off", "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=1")
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", command, err, &stderr)
	}
	all := map[string]listed{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

func TestEnclaveBinary(t *testing.T) {
	all := dependencies(t, "enclave", "./cmd/chamber-enclave")
	t.Run("holds what is listed", func(t *testing.T) { checkList(t, all) })
	t.Run("is free of", func(t *testing.T) {
		for p := range all {
			for bad, why := range banned {
				if within(p, bad) {
					t.Errorf("the enclave binary links %s: %s", p, why)
				}
			}
		}
	})
	t.Run("imports few modules", func(t *testing.T) {
		if direct := directModules(all); len(direct) > maxModules {
			t.Errorf("%d modules, more than %d:\n%s", len(direct), maxModules, strings.Join(direct, "\n"))
		}
	})
}

// The init is measured too, and runs before anything else: it is the standard library and system calls.
func TestInitBinary(t *testing.T) {
	all := dependencies(t, "enclave", "./cmd/chamber-init")
	for p, listed := range all {
		if !listed.Standard && !within(p, home+"enclave/cmd/chamber-init", "golang.org/x/sys/unix") {
			t.Errorf("the init links %s: it needs the standard library and golang.org/x/sys/unix alone", p)
		}
		if within(p, "net", "os/exec", "plugin") {
			t.Errorf("the init links %s: it starts one program and opens one socket, by system calls", p)
		}
	}
	if _, ok := all["golang.org/x/sys/unix"]; !ok {
		t.Errorf("%d packages and no golang.org/x/sys/unix: the list is not that of the init", len(all))
	}
}

// checkList compares with the list on record: what the enclave image trusts changes in review only.
func checkList(t *testing.T, all map[string]listed) {
	t.Helper()
	var got strings.Builder
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if !all[p].Standard {
			got.WriteString(p + "\n")
		}
	}
	file := filepath.Join(root, "enclave", "cmd", "chamber-enclave", "dependencies.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("%s is not current (go test ./internal/architecture -update writes it), -listed +linked:\n%s", file, diff)
	}
}

// directModules are the modules that our own code among all imports.
func directModules(all map[string]listed) []string {
	direct := map[string]bool{}
	for _, p := range all {
		if p.Module == nil || !strings.HasPrefix(p.Module.Path, home) {
			continue
		}
		for _, imported := range p.Imports {
			if m := all[imported].Module; m != nil && !strings.HasPrefix(m.Path, home) {
				direct[m.Path] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(direct))
}

// Every module that we link has one line that says why, and no line outlives its module.
func TestDependenciesHaveTheirReasons(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := regexp.MustCompile(`(?m)^## `).Split(string(text), -1)
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| \\S.{20,} \\|$")
	image := directModules(dependencies(t, "enclave", "./cmd/chamber-enclave"))
	people := slices.DeleteFunc(directModules(dependencies(t, "enclave", "./cmd/containment-chamber")), func(m string) bool {
		return slices.Contains(image, m) // explained with the image
	})
	for section, linked := range map[string][]string{
		"The enclave image": image,
		"The command line":  people,
		"The parent":        directModules(dependencies(t, "parent", "./cmd/containment-chamber-enclave-proxy")),
	} {
		i := slices.IndexFunc(sections, func(s string) bool { return strings.HasPrefix(s, section) })
		if i < 0 {
			t.Errorf("docs/dependencies.md has no section %q", section)
			continue
		}
		var explained []string
		for _, match := range row.FindAllStringSubmatch(sections[i], -1) {
			explained = append(explained, match[1])
		}
		slices.Sort(explained)
		if diff := cmp.Diff(linked, explained); diff != "" {
			t.Errorf("docs/dependencies.md, %q: -linked +explained:\n%s", section, diff)
		}
	}
}
