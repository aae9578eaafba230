package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

// layoutOf writes a container image in the OCI image layout, with a layer of one executable file if that is named.
func (w workshop) layoutOf(config string, file ...string) {
	w.t.Helper()
	blob := func(body string) string {
		sum := sha256.Sum256([]byte(body))
		w.file("oci/blobs/sha256/"+hex.EncodeToString(sum[:]), body)
		text, err := json.Marshal(map[string]any{"digest": "sha256:" + hex.EncodeToString(sum[:]), "size": len(body)})
		if err != nil {
			w.t.Fatal(err)
		}
		return strings.TrimSuffix(string(text), "}")
	}
	diffs, layers := "", ""
	if len(file) == 2 {
		var layer bytes.Buffer
		archive := tar.NewWriter(&layer)
		err := archive.WriteHeader(&tar.Header{Name: file[0], Mode: 0o755, Size: int64(len(file[1])), ModTime: time.Now()})
		if _, wrote := archive.Write([]byte(file[1])); errors.Join(err, wrote, archive.Close()) != nil {
			w.t.Fatal(err, wrote)
		}
		sum := sha256.Sum256(layer.Bytes())
		diffs = `"sha256:` + hex.EncodeToString(sum[:]) + `"`
		layers = blob(layer.String()) + `,"mediaType":"application/vnd.oci.image.layer.v1.tar"}`
	}
	c := blob(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[` + diffs + `]},"config":` + config + `}`)
	m := blob(`{"layers":[` + layers + `],"config":` + c + `,"mediaType":"application/vnd.oci.image.config.v1+json"}}`)
	w.file("oci/index.json", `{"manifests":[`+m+`,"mediaType":"application/vnd.oci.image.manifest.v1+json"}]}`)
	w.file("oci/oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
}

// TestEIFBuildOfAContainerImage takes command and environment of the image, or of the flags.
func TestEIFBuildOfAContainerImage(t *testing.T) {
	w := newWorkshop(t)
	w.layoutOf(`{"Entrypoint":["/program"],"Cmd":["serve"],"Env":["A=b"],"User":"65532","WorkingDir":"/data"}`, "program", "program")
	_, _, errs := w.run("build --output @x.eif" + parts + " --oci @oci")
	if !strings.Contains(errs, `user "65532"`) || !strings.Contains(errs, `works in "/data"`) {
		t.Errorf("said %q", errs)
	}
	for words, want := range map[string]map[string]string{
		"":                     {"cmd": "/program\nserve\n", "env": "A=b\n"},
		"--cmd x --cmd y":      {"cmd": "x\ny\n", "env": "A=b\n"},
		"--env C=d --cmd x":    {"cmd": "x\n", "env": "C=d\n"},
		"--env C=d --env D=ef": {"cmd": "/program\nserve\n", "env": "C=d\nD=ef\n"},
	} {
		raw := w.build("--oci @oci " + words)
		f, err := eif.Parse(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		disk, err := io.ReadAll(f.Ramdisks[1])
		if err != nil {
			t.Fatal(err)
		}
		files, err := ramdisk.Read(bytes.NewReader(disk))
		if err != nil {
			t.Fatal(err)
		}
		sums := map[string][32]byte{}
		for _, file := range files {
			sums[file.Name] = file.SHA256
		}
		for name, body := range want {
			if sums[name] != sha256.Sum256([]byte(body)) {
				t.Errorf("%q: file %s is not %q", words, name, body)
			}
		}
	}
	if code, _, errs := w.run("build --output @x.eif" + parts + " --oci @oci:v1"); code != exitFailure || !strings.Contains(errs, `no image "v1"`) {
		t.Errorf("exit code %d, said %q", code, errs)
	}
	if code, _, errs := w.run("build --arch arm64 --output @x.eif" + parts + " --oci @oci"); code != exitFailure || !strings.Contains(errs, "want linux/arm64") {
		t.Errorf("exit code %d, said %q", code, errs)
	}
}

// TestEIFBuildOfEitherFormIsOneImage: a container image whose builder gave it a PATH is measured as its file alone, without environment.
func TestEIFBuildOfEitherFormIsOneImage(t *testing.T) {
	w := newWorkshop(t)
	w.layoutOf(`{"Entrypoint":["/program"],"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}`, "program", "program")
	want := w.build("--rootfs @root --cmd /program")
	if !bytes.Equal(want, w.build("--oci @oci --no-env")) {
		t.Error("--oci --no-env and --rootfs gave different images")
	}
	if bytes.Equal(want, w.build("--oci @oci")) {
		t.Error("the environment of the container image is not measured")
	}
	if code, _, errs := w.run("build --output @x" + parts + " --oci @oci --no-env --env A=b"); code != exitUsage || !strings.Contains(errs, "exclude each other") {
		t.Errorf("exit code %d, said %q", code, errs)
	}
}
