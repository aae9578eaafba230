package main

import (
	"cmp"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// The shape of an in-toto statement, https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, that carries SLSA's
// provenance, https://slsa.dev/spec/v1.0/provenance, as far as this program fills it.

type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     provenance `json:"predicate"`
}

// resource is in-toto's ResourceDescriptor.
type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

type provenance struct {
	Definition definition `json:"buildDefinition"`
	Details    details    `json:"runDetails"`
}

type definition struct {
	Type         string            `json:"buildType"`
	External     map[string]string `json:"externalParameters"`
	Internal     map[string]string `json:"internalParameters"`
	Dependencies []resource        `json:"resolvedDependencies"`
}

type details struct {
	Builder builder `json:"builder"`
}

type builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version"`
}

// page says what the build is, and is its type: whoever reads the file finds there how to do the same.
const page = source + "/blob/main/docs/reproducible-builds.md"

// writeProvenance says of the artefacts what they were made of. It has no time, no machine and no user, so that who builds the same
// writes the same; who vouches for it is told by its signature. The materials are read from the binaries that the build file names.
func writeProvenance(job job, w io.Writer) error {
	b, err := readBuild(job.build)
	if err != nil {
		return err
	}
	programs, err := readPrograms(strings.Fields(b.values["programs"]))
	if err != nil {
		return err
	}
	commit := resource{URI: "git+" + source + "@" + b.values["commit"], Digest: map[string]string{"gitCommit": b.values["commit"]}}
	doc := statement{
		Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1",
		Predicate: provenance{
			Definition: definition{
				Type: page + "#the-build", Dependencies: []resource{commit},
				External: map[string]string{"source": commit.URI, "version": job.version},
				Internal: map[string]string{},
			},
			Details: details{builder{ID: page + "#the-builder", Version: map[string]string{"go": b.values["go"]}}},
		},
	}
	for _, name := range job.files {
		digest, err := fileDigest(name)
		if err != nil {
			return err
		}
		doc.Subject = append(doc.Subject, resource{Name: filepath.Base(name), Digest: map[string]string{"sha256": digest}})
	}
	slices.SortFunc(doc.Subject, func(a, b resource) int { return cmp.Compare(a.Name, b.Name) })
	def := &doc.Predicate.Definition
	for key, value := range maps.All(b.values) {
		if key != "commit" && key != "go" && key != "goroot" && key != "programs" {
			def.Internal[key] = value
		}
	}
	for _, m := range allModules(programs) {
		material := resource{URI: m.purl()}
		if m.path == "stdlib" {
			material.Name = "the Go toolchain and its standard library"
		} else {
			digest, err := m.dirHash()
			if err != nil {
				return err
			}
			material.Digest = map[string]string{"dirHash": digest}
		}
		def.Dependencies = append(def.Dependencies, material)
	}
	for _, d := range slices.Concat(b.linked, b.tools) {
		def.Dependencies = append(def.Dependencies, resource{URI: d.purl(b.values["distro"])})
	}
	for _, f := range b.files {
		def.Dependencies = append(def.Dependencies, resource{Name: f.name, Digest: map[string]string{"sha256": f.sha256}})
	}
	return writeJSON(w, doc)
}
