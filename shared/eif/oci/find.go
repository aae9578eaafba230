package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	refName = "org.opencontainers.image.ref.name"
	// referenceType is how BuildKit marks what stands in an index beside the images, such as provenance.
	referenceType = "vnd.docker.reference.type"
	layoutVersion = "1.0.0"
)

// find looks for the one image that is meant.
func (l *layout) find(ref, architecture string) (descriptor, error) {
	if err := l.checkVersion(); err != nil {
		return descriptor{}, err
	}
	var top index
	text, err := l.file("index.json")
	if err == nil {
		err = json.Unmarshal(text, &top)
	}
	if err != nil {
		return descriptor{}, fmt.Errorf("index.json: %w", err)
	}
	if ref != "" {
		all := top.Manifests
		top.Manifests = slices.DeleteFunc(slices.Clone(all), func(d descriptor) bool { return d.Annotations[refName] != ref && d.Digest != ref })
		if len(top.Manifests) == 0 {
			return descriptor{}, fmt.Errorf("no image %q, there are %s", ref, names(all))
		}
	}
	images, err := l.expand(top, architecture, maxNested)
	switch {
	case err != nil:
		return descriptor{}, err
	case len(images) == 0:
		return descriptor{}, fmt.Errorf("no image for linux/%s", architecture)
	case len(images) > 1:
		return descriptor{}, fmt.Errorf("%d images for linux/%s: say which: %s", len(images), architecture, names(images))
	}
	return images[0], nil
}

func (l *layout) checkVersion() error {
	text, err := l.file("oci-layout")
	if err != nil {
		return fmt.Errorf("oci-layout: %w", err)
	}
	var v struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("oci-layout: %w", err)
	}
	if v.Version != layoutVersion {
		return fmt.Errorf("oci-layout: version %.40q, want %s", v.Version, layoutVersion)
	}
	return nil
}

// file reads one of the two files that no digest protects.
func (l *layout) file(name string) ([]byte, error) {
	f, size, err := l.regular(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	if size > maxJSON {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", size, maxJSON)
	}
	return io.ReadAll(io.LimitReader(f, maxJSON))
}

// expand gives the images of an index, and of the indexes in it, that are for the architecture.
func (l *layout) expand(in index, architecture string, nested int) (out []descriptor, err error) {
	if l.manifests += len(in.Manifests); l.manifests > maxManifests {
		return nil, fmt.Errorf("%d manifests, at most %d are allowed", l.manifests, maxManifests)
	}
	for _, d := range in.Manifests {
		switch {
		case d.Annotations[referenceType] != "" || d.Platform != nil && (d.Platform.OS != "linux" || d.Platform.Architecture != architecture):
		case slices.Contains(manifestTypes(), d.MediaType):
			out = append(out, d)
		case !slices.Contains(indexTypes(), d.MediaType):
			return nil, fmt.Errorf("manifest of type %.100q, want one of %q", d.MediaType, slices.Concat(manifestTypes(), indexTypes()))
		case nested == 0:
			return nil, errors.New("too many indexes within each other")
		default:
			var inner index
			if err := l.json(d, &inner); err != nil {
				return nil, fmt.Errorf("index %s: %w", d.Digest, err)
			}
			more, err := l.expand(inner, architecture, nested-1)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
	}
	return out, nil
}

// names are what images can be called.
func names(all []descriptor) string {
	var out []string
	for _, d := range all {
		name := d.Annotations[refName]
		if name == "" {
			name = d.Digest
		}
		out = append(out, fmt.Sprintf("%.100q", name))
	}
	return strings.Join(out, ", ")
}
