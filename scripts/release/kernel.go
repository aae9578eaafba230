package main

import (
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
)

// kernelLicence is that of Linux and of its modules. The text lies on every Debian.
const kernelLicence, kernelLicenceText = "GPL-2.0-only", "/usr/share/common-licenses/GPL-2"

// kernelFiles are the kernel and the modules that went into an enclave image; AWS's command line beside its kernel is no program.
func (b build) kernelFiles() ([]material, error) {
	var out []material
	for _, f := range b.files {
		if path.Base(f.name) != "cmdline" {
			out = append(out, f)
		}
	}
	if len(out) == 0 || b.values["kernel-supplier"] == "" || b.values["kernel-source"] == "" {
		return nil, errors.New("the build does not say what the kernel of the enclave image is, and where its source is")
	}
	return out, nil
}

// imagePackages describe an enclave image, and the kernel and modules in it. Relationships to the programs in it are the caller's.
func (j job) imagePackages(b build) (image spdxPackage, kernel []spdxPackage, err error) {
	digest, err := fileDigest(j.image)
	if err != nil {
		return spdxPackage{}, nil, err
	}
	name := filepath.Base(j.image)
	image = spdxPackage{
		ID: spdxID("image", name), Name: name, Version: j.version, FileName: name, Purpose: "OPERATING-SYSTEM",
		Supplier: "Organization: Unforeseen Consequences", Location: "git+" + source + "@" + b.values["commit"],
		Checksums: []spdxChecksum{{"SHA256", digest}}, Concluded: noAssertion, Declared: noAssertion, Copyright: noAssertion,
	}
	files, err := b.kernelFiles()
	if err != nil {
		return spdxPackage{}, nil, err
	}
	for _, f := range files {
		kernel = append(kernel, spdxPackage{
			ID: spdxID("kernel", f.name), Name: f.name, FileName: path.Base(f.name), Purpose: "OPERATING-SYSTEM",
			Supplier: "Organization: " + b.values["kernel-supplier"], Location: noAssertion, Checksums: []spdxChecksum{{"SHA256", f.sha256}},
			SourceInfo: "source: " + b.values["kernel-source"], Concluded: kernelLicence, Declared: kernelLicence, Copyright: noAssertion,
		})
	}
	return image, kernel, nil
}

// writeKernelNotice says what the enclave image has beside the programs, and where its source is.
func (b build) writeKernelNotice(w io.Writer) error {
	files, err := b.kernelFiles()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nThe enclave image for the same processor starts these, of %s, as they come from there, under the GNU General Public License,\n"+
		"version 2, which follows. Their source: %s\n\n", b.values["kernel-supplier"], b.values["kernel-source"])
	for _, f := range files {
		fmt.Fprintf(w, "  %s  %s\n", f.sha256, f.name)
	}
	return nil
}
