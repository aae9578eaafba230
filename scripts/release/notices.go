package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// licenceFile are the names under which modules keep the texts that a binary has to be accompanied by.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|copyright)([-._].*)?$`)

// licenceText are those among them that are licences.
var licenceText = regexp.MustCompile(`(?i)^(licen[cs]e|copying)`)

// text is one licence or notice.
type text struct {
	name string
	data []byte
}

// licences are the texts in a folder, in order. A module without any is an error: it could not be passed on.
func licences(dir string) ([]text, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var texts []text
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !licenceFile.MatchString(entry.Name()) || strings.HasSuffix(entry.Name(), ".go") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, text{entry.Name(), data})
	}
	if len(texts) == 0 {
		return nil, errors.New("no licence in " + dir)
	}
	return texts, nil
}

// identify names the licences of a module in SPDX's terms, or says NOASSERTION where a licence's text is not known for certain.
func identify(texts []text) string {
	var ids []string
	for _, t := range texts {
		if !licenceText.MatchString(t.name) {
			continue
		}
		coverage := licensecheck.Scan(t.data)
		if coverage.Percent < 75 || len(coverage.Match) == 0 {
			return noAssertion
		}
		for _, match := range coverage.Match {
			if !match.IsURL {
				ids = append(ids, match.ID)
			}
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return noAssertion
	}
	return strings.Join(ids, " AND ")
}

// moduleLicences are the texts of a module: those of the standard library lie with Go itself.
func (j job) moduleLicences(m module, goroot string) ([]text, error) {
	if m.path == "stdlib" {
		return licences(goroot)
	}
	return licences(m.dir(j.modules))
}

func writeNotices(job job, w io.Writer) error {
	programs, err := readPrograms(job.files)
	if err != nil {
		return err
	}
	b, err := readBuild(job.build)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "The programs of Containment Chamber %s are linked with the following. Each stands under its own licence.\n", job.version)
	section := func(title string, texts []text) {
		line := strings.Repeat("-", 80)
		for _, t := range texts {
			fmt.Fprintf(out, "\n%s\n%s, %s\n%s\n\n%s\n", line, title, t.name, line, strings.TrimSpace(string(t.data)))
		}
	}
	for _, m := range allModules(programs) {
		texts, err := job.moduleLicences(m, b.values["goroot"])
		if err != nil {
			return fmt.Errorf("%s %s: %w", m.path, m.version, err)
		}
		section(m.path+" "+m.version, texts)
	}
	for _, d := range b.linked {
		texts, err := licences(filepath.Join("/usr/share/doc", d.name))
		if err != nil {
			return err
		}
		section("Debian's "+d.name+" "+d.version, texts)
	}
	gpl, err := os.ReadFile(kernelLicenceText)
	if err != nil {
		return err
	}
	if err := b.writeKernelNotice(out); err != nil {
		return err
	}
	section("Linux", []text{{"GPL-2", gpl}})
	return out.Flush()
}
