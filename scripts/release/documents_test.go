package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const commit = "194194f0c8c0d1d2a3b4c5d6e7f8091a2b3c4d5e"

// release is the job of a release of one binary: that of this test, in which Go records modules as in any other.
func release(t *testing.T) job {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) string {
		out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	lines := []string{
		"commit=" + commit, "go=" + runtime.Version(), "goroot=" + env("GOROOT"), "distro=debian-bookworm", "state=clean",
		"tool=gcc-12 12.2.0-14+deb12u1 amd64", "file=" + strings.Repeat("ab", 32) + " x86_64/bzImage", "programs=" + binary,
		"file=" + strings.Repeat("cd", 32) + " x86_64/nsm.ko", "file=" + strings.Repeat("ef", 32) + " x86_64/cmdline", "kernel-supplier=Penguins", "kernel-source=https://kernel.example",
	}
	build := write(t, filepath.Join(t.TempDir(), "build"), strings.Join(lines, "\n")+"\n", 0o600)
	return job{time: released, version: "1.2.3", arch: "amd64", build: build, modules: env("GOMODCACHE"), image: write(t, filepath.Join(t.TempDir(), "a.eif"), "", 0o600), files: []string{binary}}
}

func TestSBOMNamesWhatIsLinked(t *testing.T) {
	job := release(t)
	var b bytes.Buffer
	if err := writeSBOM(job, &b); err != nil {
		t.Fatal(err)
	}
	var doc spdxDocument
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	licences, ids := map[string]string{}, map[string]bool{"SPDXRef-DOCUMENT": true}
	for _, p := range doc.Packages {
		licences[p.Name] = p.Declared
		if ids[p.ID] {
			t.Errorf("%s stands there twice", p.ID)
		}
		ids[p.ID] = true
	}
	want := map[string]string{
		filepath.Base(job.files[0]): "Apache-2.0", "github.com/google/licensecheck": "BSD-3-Clause", "stdlib": "BSD-3-Clause",
		"a.eif": "NOASSERTION", "x86_64/bzImage": "GPL-2.0-only", "x86_64/nsm.ko": "GPL-2.0-only",
	}
	if diff := cmp.Diff(want, licences); diff != "" {
		t.Error(diff)
	}
	for _, p := range doc.Packages {
		if p.Name == "x86_64/nsm.ko" && (p.Supplier != "Organization: Penguins" || p.SourceInfo != "source: https://kernel.example" || p.Checksums[0].Value != strings.Repeat("cd", 32)) {
			t.Errorf("a module of the kernel is described as %+v", p)
		}
	}
	if contained := (spdxRelationship{"SPDXRef-image-a.eif", "CONTAINS", "SPDXRef-kernel-x86-64-nsm.ko"}); !slices.Contains(doc.Relationships, contained) {
		t.Errorf("no relationship %+v", contained)
	}
	for _, r := range doc.Relationships {
		if !ids[r.From] || !ids[r.To] {
			t.Errorf("relationship %+v names what is not there", r)
		}
	}
	if digest, err := fileDigest(job.files[0]); err != nil || doc.Packages[0].Checksums[0].Value != digest {
		t.Errorf("the checksum of the program is %v, want %s (%v)", doc.Packages[0].Checksums, digest, err)
	}
	if got, want := doc.Creation.Created, "2023-11-14T22:13:20Z"; got != want {
		t.Errorf("created %s, want %s", got, want)
	}
}

func TestProvenanceNamesSourceModulesToolsAndArtefacts(t *testing.T) {
	job := release(t)
	job.files = []string{write(t, filepath.Join(t.TempDir(), "b.tar.gz"), "", 0o600), write(t, filepath.Join(t.TempDir(), "a.eif"), "", 0o600)}
	var b bytes.Buffer
	if err := writeProvenance(job, &b); err != nil {
		t.Fatal(err)
	}
	var doc statement
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	empty := map[string]string{"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
	if diff := cmp.Diff([]resource{{Name: "a.eif", Digest: empty}, {Name: "b.tar.gz", Digest: empty}}, doc.Subject); diff != "" {
		t.Error(diff)
	}
	found := map[string]map[string]string{}
	for _, d := range doc.Predicate.Definition.Dependencies {
		found[d.URI+d.Name] = d.Digest
	}
	for name, digest := range map[string]map[string]string{
		"git+" + source + "@" + commit: {"gitCommit": commit},
		"x86_64/bzImage":               {"sha256": strings.Repeat("ab", 32)},
		"pkg:deb/debian/gcc-12@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-bookworm": nil,
		// go.sum has h1:QoxgoDkaeC4nFrtGN1jV7IPmDCHFNIVh54e5hSt6sPs=
		"pkg:golang/github.com/google/licensecheck@v0.3.1": {"dirHash": "428c60a0391a782e2716bb463758d5ec83e60c21c5348561e787b9852b7ab0fb"},
	} {
		got, ok := found[name]
		if diff := cmp.Diff(digest, got); !ok || diff != "" {
			t.Errorf("%s: named %t, %s", name, ok, diff)
		}
	}
	for _, secret := range []string{os.TempDir(), "goroot"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%s of this machine is in the provenance", secret)
		}
	}
}

func TestNoticesHaveEveryLicence(t *testing.T) {
	job := release(t)
	var b bytes.Buffer
	if err := writeNotices(job, &b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"github.com/google/licensecheck v0.3.1, LICENSE\n", "stdlib 1.26.8, LICENSE\n", "stdlib 1.26.8, PATENTS\n", "of Penguins, as", "Their source: https://kernel.example\n", strings.Repeat("cd", 32) + "  x86_64/nsm.ko\n", "TERMS AND CONDITIONS FOR COPYING", "Redistributions in binary form"} {
		if !strings.Contains(b.String(), strings.ReplaceAll(want, "1.26.8", strings.TrimPrefix(runtime.Version(), "go"))) {
			t.Errorf("no %q", want)
		}
	}
}

func TestImageWithoutAKernelIsNotDescribed(t *testing.T) {
	job := release(t)
	text, err := os.ReadFile(job.build)
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"kernel-supplier=", "kernel-source=", "file="} {
		var left strings.Builder
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, gone) {
				left.WriteString(line)
			}
		}
		job.build = write(t, filepath.Join(t.TempDir(), "build"), left.String(), 0o600)
		if err := writeSBOM(job, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "does not say what the kernel") {
			t.Errorf("SBOM without %s: %v", gone, err)
		}
		if err := writeNotices(job, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "does not say what the kernel") {
			t.Errorf("notices without %s: %v", gone, err)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	whole := "commit=c\ngo=go1\ngoroot=/go\ndistro=debian\n"
	if _, err := readBuild(write(t, filepath.Join(t.TempDir(), "build"), whole, 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no commit":             strings.Replace(whole, "commit=c\n", "", 1),
		"a value twice":         whole + "go=go2\n",
		"an empty value":        whole + "state=\n",
		"no equals sign":        whole + "state\n",
		"a package without":     whole + "tool=gcc-12 12.2.0\n",
		"a file without digest": whole + "file=bzImage\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := readBuild(write(t, filepath.Join(t.TempDir(), "build"), text, 0o600)); err == nil {
				t.Errorf("%q was taken", text)
			}
		})
	}
}

func TestCommandLine(t *testing.T) {
	for name, args := range map[string][]string{
		"no command": nil, "an unknown one": {"sign", "-out", "x", "y"}, "no output": {"archive", "-time", "1", "y"},
		"no file": {"archive", "-time", "1", "-out", "x"}, "no time": {"archive", "-out", "x", "main.go"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(args, new(bytes.Buffer)); err == nil {
				t.Errorf("%q was taken", args)
			}
		})
	}
	out := filepath.Join(t.TempDir(), "x.tar.gz")
	if err := run([]string{"archive", "-time", "1", "-out", out, filepath.Join(t.TempDir(), "missing")}, new(bytes.Buffer)); err == nil {
		t.Error("a missing file was archived")
	}
	if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) > 0 {
		t.Errorf("a failure left %v (%v)", left, err)
	}
}
