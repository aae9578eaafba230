package attestation

import (
	"errors"
	"fmt"
	"time"
)

// maxField bounds every byte string of a payload. AWS's two descriptions say 512 and 1024 for user_data and nonce; the NSM
// accepts 1024.
const maxField = 1024

// lastTimestamp is the end of the year 9999 in milliseconds. Nano- and microseconds, taken for milliseconds, lie beyond it.
const lastTimestamp = 253402300799999

// parsePayload decodes the payload and checks its fields. What it returns is not verified yet, and part of payload.
func parsePayload(payload []byte) (*Document, error) {
	top, err := decode(payload)
	if err != nil {
		return nil, refuse(StepDecoding, "payload", err)
	}
	if top.major != majorMap {
		return nil, refuse(StepSyntax, "payload", mismatch(top, "map"))
	}
	doc, present := &Document{}, map[string]bool{}
	for i := 0; i < len(top.items); i += 2 {
		key, value := top.items[i], top.items[i+1]
		if key.major != majorText {
			return nil, refuse(StepSyntax, "payload", fmt.Errorf("key %v is not text", key))
		}
		name := string(key.str)
		if err := doc.set(name, value); err != nil {
			return nil, refuse(StepSyntax, name, err)
		}
		present[name] = true
	}
	for _, name := range []string{"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"} {
		if !present[name] {
			return nil, refuse(StepSyntax, name, errors.New("missing"))
		}
	}
	return doc, nil
}

// set checks one field and stores it.
func (d *Document) set(name string, v item) (err error) {
	switch name {
	case "module_id":
		d.ModuleID, err = v.text()
	case "digest":
		var digest string
		if digest, err = v.text(); err == nil && digest != "SHA384" {
			err = fmt.Errorf("%.40q, want SHA384", digest)
		}
	case "timestamp":
		d.Timestamp, err = v.timestamp()
	case "pcrs":
		d.PCRs, err = v.pcrs()
	case "certificate":
		d.Certificate, err = v.bytes(1)
	case "cabundle":
		d.CABundle, err = v.bundle()
	case "public_key":
		d.PublicKey, err = v.optionalBytes(1)
	case "user_data":
		d.UserData, err = v.optionalBytes(0)
	case "nonce":
		d.Nonce, err = v.optionalBytes(0)
	default:
		d.Unknown = append(d.Unknown, name)
	}
	return err
}

// text is never empty.
func (it item) text() (string, error) {
	if it.major != majorText {
		return "", mismatch(it, "text")
	}
	if len(it.str) == 0 {
		return "", errors.New("empty")
	}
	return string(it.str), nil
}

func (it item) bytes(least int) ([]byte, error) {
	if it.major != majorBytes {
		return nil, mismatch(it, "byte string")
	}
	if n := len(it.str); n < least || n > maxField {
		return nil, fmt.Errorf("%d bytes, want %d to %d", n, least, maxField)
	}
	return it.str, nil
}

// optionalBytes is nil for null, and not nil for a byte string of length 0.
func (it item) optionalBytes(least int) ([]byte, error) {
	if it.isNull() {
		return nil, nil
	}
	return it.bytes(least)
}

func (it item) timestamp() (time.Time, error) {
	if it.major != majorUint {
		return time.Time{}, mismatch(it, "integer")
	}
	if it.n == 0 || it.n > lastTimestamp {
		return time.Time{}, fmt.Errorf("%d, want milliseconds since 1970, at most %d", it.n, int64(lastTimestamp))
	}
	return time.UnixMilli(int64(it.n)).UTC(), nil
}

// pcrs reads the registers. Other lengths than 48 bytes belong to digests that are refused above.
func (it item) pcrs() (map[int]PCR, error) {
	if it.major != majorMap {
		return nil, mismatch(it, "map")
	}
	if len(it.items) == 0 {
		return nil, errors.New("empty")
	}
	out := make(map[int]PCR, len(it.items)/2)
	for i := 0; i < len(it.items); i += 2 {
		index, value := it.items[i], it.items[i+1]
		if index.major != majorUint || index.n >= registers {
			return nil, fmt.Errorf("register %v, want 0 to %d", index, registers-1)
		}
		if value.major != majorBytes || len(value.str) != PCRSize {
			return nil, fmt.Errorf("register %v is a %v of %d bytes, want a byte string of %d", index, value.major, len(value.str), PCRSize)
		}
		out[int(index.n)] = PCR(value.str)
	}
	return out, nil
}

func (it item) bundle() ([][]byte, error) {
	if it.major != majorArray {
		return nil, mismatch(it, "array")
	}
	if len(it.items) == 0 {
		return nil, errors.New("empty")
	}
	out := make([][]byte, len(it.items))
	for i, element := range it.items {
		var err error
		if out[i], err = element.bytes(1); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return out, nil
}

func mismatch(it item, want string) error {
	return fmt.Errorf("is of type %v, want %s", it.major, want)
}
