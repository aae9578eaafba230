package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"time"
)

// The shape of SPDX 2.3 in JSON, https://spdx.github.io/spdx-spec/v2.3/, as far as this program fills it.

const noAssertion = "NOASSERTION"

type spdxDocument struct {
	Version       string             `json:"spdxVersion"`
	License       string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Packages      []spdxPackage      `json:"packages"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Version       string         `json:"versionInfo,omitempty"`
	FileName      string         `json:"packageFileName,omitempty"`
	Purpose       string         `json:"primaryPackagePurpose"`
	Supplier      string         `json:"supplier"`
	Location      string         `json:"downloadLocation"`
	FilesAnalyzed bool           `json:"filesAnalyzed"`
	Checksums     []spdxChecksum `json:"checksums,omitempty"`
	SourceInfo    string         `json:"sourceInfo,omitempty"`
	Concluded     string         `json:"licenseConcluded"`
	Declared      string         `json:"licenseDeclared"`
	Copyright     string         `json:"copyrightText"`
	References    []spdxRef      `json:"externalRefs,omitempty"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

// notInID is what an SPDX identifier may not have.
var notInID = regexp.MustCompile(`[^a-zA-Z0-9.-]+`)

func spdxID(kind, name string) string {
	return "SPDXRef-" + kind + "-" + notInID.ReplaceAllString(name, "-")
}

func purlRef(locator string) []spdxRef { return []spdxRef{{"PACKAGE-MANAGER", "purl", locator}} }

// writeSBOM names everything that is linked into the programs of one architecture, and what their enclave image has beside them.
// Namespaces have to be unique, so that the digests of the programs stand in it.
func writeSBOM(job job, w io.Writer) error {
	programs, err := readPrograms(job.files)
	if err != nil {
		return err
	}
	b, err := readBuild(job.build)
	if err != nil {
		return err
	}
	const document = "SPDXRef-DOCUMENT"
	doc := spdxDocument{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: document, Name: "containment-chamber-" + job.version + "-linux-" + job.arch,
		Namespace: source + "/spdx/v" + job.version + "/linux/" + job.arch,
		Creation:  spdxCreation{job.time.Format(time.RFC3339), []string{"Organization: Unforeseen Consequences", "Tool: scripts/release"}},
	}
	relate := func(from, kind, to string) {
		doc.Relationships = append(doc.Relationships, spdxRelationship{from, kind, to})
	}
	for _, p := range programs {
		id := spdxID("program", p.name)
		doc.Namespace += "/" + p.sha256[:16]
		doc.Packages = append(doc.Packages, spdxPackage{
			ID: id, Name: p.name, Version: job.version, FileName: p.name, Purpose: "APPLICATION",
			Supplier: "Organization: Unforeseen Consequences", Location: "git+" + source + "@" + b.values["commit"],
			Checksums:  []spdxChecksum{{"SHA256", p.sha256}},
			SourceInfo: "built from " + p.main + " by " + b.values["go"] + " for linux/" + job.arch,
			Concluded:  "Apache-2.0", Declared: "Apache-2.0", Copyright: noAssertion,
		})
		relate(document, "DESCRIBES", id)
		for _, m := range p.modules {
			relate(id, "STATIC_LINK", spdxID("go", m.path+"-"+m.version))
		}
		// Programs that Go linked without the C library have none of it.
		if !p.cgo {
			continue
		}
		for _, d := range b.linked {
			relate(id, "STATIC_LINK", spdxID("deb", d.name))
		}
	}
	for _, m := range allModules(programs) {
		texts, err := job.moduleLicences(m, b.values["goroot"])
		if err != nil {
			return fmt.Errorf("%s %s: %w", m.path, m.version, err)
		}
		pkg := spdxPackage{
			ID: spdxID("go", m.path+"-"+m.version), Name: m.path, Version: m.version, Purpose: "LIBRARY", Supplier: noAssertion,
			Location: "https://proxy.golang.org/" + escape(m.path) + "/@v/" + escape(m.version) + ".zip", SourceInfo: "go.sum " + m.sum,
			Concluded: noAssertion, Declared: identify(texts), Copyright: noAssertion, References: purlRef(m.purl()),
		}
		if m.path == "stdlib" {
			pkg.Location, pkg.SourceInfo = "https://go.dev/dl/go"+m.version+".src.tar.gz", ""
		}
		doc.Packages = append(doc.Packages, pkg)
	}
	for _, d := range b.linked {
		doc.Packages = append(doc.Packages, spdxPackage{
			ID: spdxID("deb", d.name), Name: d.name, Version: d.version, Purpose: "LIBRARY", Supplier: "Organization: Debian",
			Location: noAssertion, Concluded: noAssertion, Declared: noAssertion, Copyright: noAssertion,
			SourceInfo: "licences in " + filepath.Join("/usr/share/doc", d.name, "copyright") + " and in THIRD-PARTY-NOTICES",
			References: purlRef(d.purl(b.values["distro"])),
		})
	}
	image, kernel, err := job.imagePackages(b)
	if err != nil {
		return err
	}
	doc.Packages = append(append(doc.Packages, image), kernel...)
	relate(document, "DESCRIBES", image.ID)
	for _, k := range kernel {
		relate(image.ID, "CONTAINS", k.ID)
	}
	for _, p := range programs {
		if p.name == "chamber-enclave" || p.name == "chamber-init" {
			relate(image.ID, "CONTAINS", spdxID("program", p.name))
		}
	}
	return writeJSON(w, doc)
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
