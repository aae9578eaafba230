package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// maxNitroJSON is more than nitro-cli ever prints, in bytes; the metadata of an image is at most 1 MiB.
const maxNitroJSON = 4 << 20

// parseNitroCLI reads what nitro-cli prints about an image. Names count exactly as it writes them, and once: of two values
// for a register, nobody could tell which one a reader sees. What it prints beside the measurements is passed over.
func parseNitroCLI(text []byte) (attestation.Measurements, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, fmt.Errorf("not the JSON of nitro-cli alone: %w", err)
	}
	fields, err := exactFields(whole)
	if err != nil {
		return nil, fmt.Errorf("not the JSON of nitro-cli alone: %w", err)
	}
	if fields["Measurements"] == nil {
		return nil, errors.New("no Measurements: want the output of build-enclave or describe-eif")
	}
	for _, check := range [][2]string{{"CheckCRC", "the image is damaged"}, {"SignatureCheck", "the image's signature does not hold"}} {
		switch value := fields[check[0]]; string(value) {
		case "", "null", "true": // build-enclave looks at neither, and an image that is not signed has no signature
		case "false":
			return nil, fmt.Errorf("%s: false: %s", check[0], check[1])
		default:
			return nil, fmt.Errorf("%s: %.40s, want true", check[0], value)
		}
	}
	pcrs, err := measurementsOf(fields["Measurements"])
	if err != nil {
		return nil, fmt.Errorf("Measurements%w", err)
	}
	return pcrs, nil
}

// measurementsOf reads the registers. The error goes on after the name of the object.
func measurementsOf(object json.RawMessage) (attestation.Measurements, error) {
	fields, err := exactFields(object)
	if err != nil {
		return nil, fmt.Errorf(": %w", err)
	}
	var algorithm string
	if err := json.Unmarshal(fields["HashAlgorithm"], &algorithm); err != nil || !strings.HasPrefix(algorithm, "Sha384") {
		return nil, fmt.Errorf(".HashAlgorithm: %.40q, want Sha384", algorithm)
	}
	pcrs := attestation.Measurements{}
	for _, index := range []int{0, 1, 2, 8} {
		name := fmt.Sprintf("PCR%d", index)
		value, ok := fields[name]
		if !ok && index == 8 { // nobody signed the image
			continue
		}
		var text string
		if err := json.Unmarshal(value, &text); ok && err != nil {
			return nil, fmt.Errorf(".%s: %w", name, err)
		}
		if pcrs[index], err = attestation.ParsePCR(text); err != nil {
			return nil, fmt.Errorf(".%s: %w", name, err)
		}
	}
	return pcrs, nil
}

// exactFields are those of an object by their names. One that comes twice is an error, where package json would take the last;
// names are compared exactly, where package json ignores case for the fields of a struct.
func exactFields(object json.RawMessage) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("no object of JSON")
	}
	fields := map[string]json.RawMessage{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := fmt.Sprint(token) // a string, as the object is one of JSON
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("field %.40q stands there twice", name)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		fields[name] = value
	}
	return fields, nil
}
