// Package oci reads container images from directories in the OCI image layout.
package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

// Config is how an image is to be run (OCI image specification, config.md). Env is "NAME=value".
type Config struct {
	Entrypoint, Cmd, Env []string
	User, WorkingDir     string
}

// Image is one image with its layers applied.
type Image struct {
	Digest string // of the manifest: sha256:…
	Config Config
	Root   *ramdisk.Tree
}

const (
	// maxJSON is the most bytes of an index, a manifest or a configuration (4 MiB is what registries take).
	maxJSON = 4 << 20
	// maxLayers is more than any builder makes: overlay mounts take 128.
	maxLayers = 128
	// maxNested is how many indexes may lead from one to the next, and maxManifests how many indexes and images are looked at.
	maxNested, maxManifests = 2, 64
)

var errIrregular = errors.New("is no regular file")

// Read reads the image of a layout for linux on an architecture, as Go names it (amd64, arm64). A ref is the annotation
// org.opencontainers.image.ref.name of one of several images, or its digest. Everything below index.json is held to its digest. Layers
// that are sparse, that hold devices, or that write through a symlink are refused; users, times and extended attributes are left out.
func Read(dir, ref, architecture string) (*Image, error) {
	root, err := os.OpenRoot(dir) // no symlink leads out of it
	if err != nil {
		return nil, fmt.Errorf("read image layout: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing was written
	img, err := ReadFS(root.FS(), ref, architecture)
	if err != nil {
		return nil, fmt.Errorf("read image layout %s: %w", dir, err)
	}
	return img, nil
}

// ReadFS reads an image as [Read] does.
func ReadFS(files fs.FS, ref, architecture string) (*Image, error) {
	return read(files, ref, architecture, usual())
}

func read(files fs.FS, ref, architecture string, most limits) (*Image, error) {
	l := &layout{files: files, most: most}
	found, err := l.find(ref, architecture)
	if err != nil {
		return nil, err
	}
	img, err := l.image(found, architecture)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", found.Digest, err)
	}
	return img, nil
}

// layout is a directory that is being read.
type layout struct {
	files     fs.FS
	most      limits // that is left
	manifests int    // that were looked at
}

// descriptor points to a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
	Platform    *struct {
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
	} `json:"platform"`
}

type index struct {
	Manifests []descriptor `json:"manifests"`
}

type manifest struct {
	Config descriptor   `json:"config"`
	Layers []descriptor `json:"layers"`
}

type configuration struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Config       Config `json:"config"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// The kinds of blobs, in the words of OCI and of Docker.
func indexTypes() []string {
	return []string{"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
}

func manifestTypes() []string {
	return []string{"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
}

func configTypes() []string {
	return []string{"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
}

// image reads a manifest, its configuration and its layers.
func (l *layout) image(d descriptor, architecture string) (*Image, error) {
	var m manifest
	if err := l.json(d, &m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if !slices.Contains(configTypes(), m.Config.MediaType) {
		return nil, fmt.Errorf("configuration of type %q, want one of %q: no container image", m.Config.MediaType, configTypes())
	}
	var c configuration
	if err := l.json(m.Config, &c); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	switch {
	case c.OS != "linux" || c.Architecture != architecture:
		return nil, fmt.Errorf("it is for %s/%s, want linux/%s", c.OS, c.Architecture, architecture)
	case len(m.Layers) > maxLayers:
		return nil, fmt.Errorf("%d layers, at most %d are allowed", len(m.Layers), maxLayers)
	case len(m.Layers) != len(c.RootFS.DiffIDs):
		return nil, fmt.Errorf("the manifest has %d layers, the configuration %d", len(m.Layers), len(c.RootFS.DiffIDs))
	}
	tree := ramdisk.NewTree()
	for i, layer := range m.Layers {
		if err := l.apply(tree, layer, c.RootFS.DiffIDs[i]); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return &Image{Digest: d.Digest, Config: c.Config, Root: tree}, nil
}

// json reads a blob that is JSON, after its digest was found right.
func (l *layout) json(d descriptor, into any) error {
	if d.Size > maxJSON {
		return fmt.Errorf("%d bytes, at most %d are allowed", d.Size, maxJSON)
	}
	file, err := l.open(d)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(file, maxJSON+1))
	if err != nil {
		return err
	}
	if got := digestOf(text); got != d.Digest || int64(len(text)) != d.Size {
		return fmt.Errorf("%d bytes of digest %s, want %d of %s", len(text), got, d.Size, d.Digest)
	}
	return json.Unmarshal(text, into)
}

// open opens the blob of a digest.
func (l *layout) open(d descriptor) (fs.File, error) {
	digits, ok := strings.CutPrefix(d.Digest, "sha256:")
	if raw, err := hex.DecodeString(digits); !ok || err != nil || len(raw) != sha256.Size || strings.ToLower(digits) != digits {
		return nil, fmt.Errorf("digest %.100q, want sha256: and 64 hexadecimal digits", d.Digest)
	}
	file, size, err := l.regular("blobs/sha256/" + digits)
	if err == nil && size != d.Size {
		err = fmt.Errorf("%d bytes, its descriptor says %d", size, d.Size)
		_ = file.Close() // nothing was written
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	return file, nil
}

// regular opens a regular file. It asks what it is before, since to open a pipe is to wait for its writer, and of what was opened.
func (l *layout) regular(name string) (fs.File, int64, error) {
	info, err := fs.Stat(l.files, name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errIrregular
	}
	file, err := l.files.Open(name)
	if err != nil {
		return nil, 0, err
	}
	if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
		err = errIrregular
	}
	if err != nil {
		_ = file.Close() // nothing was written
		return nil, 0, err
	}
	return file, info.Size(), nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
