package eif

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// ImageMetadata is what AWS's tools expect in a metadata section. Nothing of it is measured.
type ImageMetadata struct {
	Name    string        `json:"ImageName"`
	Version string        `json:"ImageVersion"`
	Build   BuildMetadata `json:"BuildMetadata"`
	// Docker is the description of the container image that the enclave image was made of, and Custom is whatever its maker
	// wants; both are JSON, empty is null.
	Docker json.RawMessage `json:"DockerInfo"`
	Custom json.RawMessage `json:"CustomMetadata"`
}

// BuildMetadata is how an image was made, in its maker's words.
type BuildMetadata struct {
	Time            string `json:"BuildTime"` // RFC 3339; a reproducible build needs a fixed one
	Tool            string `json:"BuildTool"`
	ToolVersion     string `json:"BuildToolVersion"`
	OperatingSystem string `json:"OperatingSystem"`
	KernelVersion   string `json:"KernelVersion"`
}

// Marshal gives the JSON for [Image].Metadata. Equal metadata have equal JSON.
func (m ImageMetadata) Marshal() ([]byte, error) {
	out, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("image metadata: %w", err)
	}
	if err := checkMetadata(out); err != nil {
		return nil, fmt.Errorf("image metadata: %w", err)
	}
	return out, nil
}

func checkMetadata(raw []byte) error {
	switch {
	case len(raw) > maxMetadata:
		return fmt.Errorf("%d bytes, at most %d are allowed", len(raw), maxMetadata)
	case !utf8.Valid(raw):
		return errors.New("not UTF-8")
	case !json.Valid(raw):
		return errors.New("not JSON")
	}
	return nil
}

// printable is the same JSON on one line, in which everything that does not print is escaped: what is not measured shall not be able
// to move the cursor, or to turn the direction of what is.
func printable(raw []byte) json.RawMessage {
	var line bytes.Buffer
	if json.Compact(&line, raw) != nil {
		return nil
	}
	var out strings.Builder
	for _, r := range line.String() {
		switch {
		case unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return json.RawMessage(out.String())
}
