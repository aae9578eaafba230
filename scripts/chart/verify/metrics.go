package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	metricName = regexp.MustCompile(`\bcontainment_[a-z0-9_]+\b`)
	literal    = regexp.MustCompile(`"(containment_[a-z0-9_]*)"`)
	tail       = regexp.MustCompile(`"_?[a-z]+(_[a-z0-9]+)*"`)
	alertName  = regexp.MustCompile(`(?m)^ *- alert: (\w+)$`)
	runbook    = regexp.MustCompile(`(?m)^ *runbook_url: \S*/docs/runbooks/(\w+)\.md$`)
	inPage     = regexp.MustCompile(`\((Chamber\w+)\.md\)`)
)

// metrics holds every name in alerts, their tests and the dashboard against the sources: a whole literal of the code, or of docs/metrics.md
// where the code puts a name together, with the literal that it begins with.
func metrics(h house) error {
	names, stems, err := h.literals()
	if err != nil {
		return err
	}
	documented, err := h.read("docs/metrics.md")
	if err != nil {
		return err
	}
	pages, err := filepath.Glob(h.path("docs/runbooks/*.md"))
	if err != nil {
		return err
	}
	files := []string{h.path(chart + "files/alerts.yaml"), h.path(chart + "files/dashboard.json"), h.path("scripts/chart/alerts_test.yaml")}
	var problems []error
	for _, file := range append(files, pages...) {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		used := slices.Compact(slices.Sorted(slices.Values(metricName.FindAllString(string(text), -1))))
		if len(used) == 0 && slices.Contains(files, file) {
			problems = append(problems, fmt.Errorf("%s: names no metric", file))
		}
		for _, name := range used {
			if !known(name, names, stems) {
				problems = append(problems, fmt.Errorf("%s: no metric of the code is called %s", file, name))
			} else if !strings.Contains(string(documented), "`"+base(name, names)+"`") {
				problems = append(problems, fmt.Errorf("%s: %s is not in docs/metrics.md", file, name))
			}
		}
	}
	return errors.Join(problems...)
}

// base takes the suffix of a histogram's series off a name that has one.
func base(name string, names map[string]bool) string {
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if stem, ok := strings.CutSuffix(name, suffix); ok && names[stem] {
			return stem
		}
	}
	return name
}

// known says whether the code has the name. Some names are put together of a first part and what follows it: "containment_parent_" + name + "_total".
func known(name string, names map[string]bool, stems map[string][]string) bool {
	if names[base(name, names)] {
		return true
	}
	for stem, parts := range stems {
		rest, ok := strings.CutPrefix(name, stem)
		if !ok {
			continue
		}
		for _, part := range parts {
			if strings.TrimSuffix(rest, "_total") == strings.TrimSuffix(strings.Trim(part, "_"), "_total") {
				return true
			}
		}
	}
	return false
}

// literals are the metric names that stand in the product's sources, and for the first parts of names the other literals of their file.
func (h house) literals() (names map[string]bool, stems map[string][]string, err error) {
	names, stems = make(map[string]bool), make(map[string][]string)
	for _, module := range []string{"enclave/internal", "parent", "shared"} {
		err := filepath.WalkDir(h.path(module), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, found := range literal.FindAllStringSubmatch(string(text), -1) {
				if name := found[1]; strings.HasSuffix(name, "_") {
					for _, part := range tail.FindAllString(string(text), -1) {
						stems[name] = append(stems[name], strings.Trim(part, `"`))
					}
				} else {
					names[name] = true
				}
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if len(names) == 0 {
		return nil, nil, errors.New("no metric found in the sources: is this the repository's root?")
	}
	return names, stems, nil
}

// runbooks holds alerts and pages against each other, both ways, and each alert against its tests.
func runbooks(h house) error {
	rules, err := h.read(chart + "files/alerts.yaml")
	if err != nil {
		return err
	}
	tests, err := h.read("scripts/chart/alerts_test.yaml")
	if err != nil {
		return err
	}
	index, err := h.read("docs/runbooks/README.md")
	if err != nil {
		return err
	}
	alerts, links := first(alertName, rules), first(runbook, rules)
	var problems []error
	if !slices.Equal(alerts, links) {
		problems = append(problems, fmt.Errorf("files/alerts.yaml: alerts %v, but runbook_url %v", alerts, links))
	}
	for _, alert := range alerts {
		if page, err := h.read("docs/runbooks/" + alert + ".md"); err != nil {
			problems = append(problems, err)
		} else if !strings.HasPrefix(string(page), "# "+alert+"\n") {
			problems = append(problems, fmt.Errorf("docs/runbooks/%s.md: does not begin with its name", alert))
		}
		for _, kind := range []string{" fires\n", " is quiet\n"} {
			if !strings.Contains(string(tests), "- name: "+alert+kind) {
				problems = append(problems, fmt.Errorf("scripts/chart/alerts_test.yaml: has no case %q", alert+strings.TrimSpace(kind)))
			}
		}
		if !strings.Contains(string(index), "("+alert+".md)") {
			problems = append(problems, fmt.Errorf("docs/runbooks/README.md: does not list %s", alert))
		}
	}
	pages, err := filepath.Glob(h.path("docs/runbooks/*.md"))
	if err != nil {
		return err
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name != "README" && !slices.Contains(alerts, name) {
			problems = append(problems, fmt.Errorf("docs/runbooks/%s.md: there is no such alert", name))
		}
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		for _, link := range first(inPage, text) {
			if !slices.Contains(alerts, link) {
				problems = append(problems, fmt.Errorf("%s: links to %s.md, which is not there", page, link))
			}
		}
	}
	return errors.Join(problems...)
}

func first(pattern *regexp.Regexp, text []byte) []string {
	var all []string
	for _, match := range pattern.FindAllSubmatch(text, -1) {
		all = append(all, string(match[1]))
	}
	return all
}
