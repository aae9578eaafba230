package interchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// maxKeys bounds what a file can make a reader hold, about 300 bytes for each, and as much again until it is collected. It is more
// than twice the keys that any operator has on one signer.
const maxKeys = 1_000_000

// Read reads a file to its end and reduces it to one record per key. It holds the records and at most some 2 MiB of the file,
// however large that is, and whether it is complete (every message) or minimal (the last ones).
//
// A message without signing_root, or with null, has an unknown root; one of 32 zero bytes is a root. Numbers are decimal, as strings
// or bare. Fields that the format does not know are passed over. An *Error says what is wrong and where; then nothing may
// be taken from the file. A file for another network than the one with this genesis validators root is a slashing.ErrNetwork.
func Read(r io.Reader, validatorsRoot eth2.Root) (Contents, error) {
	return read(r, validatorsRoot, maxKeys)
}

func read(r io.Reader, validatorsRoot eth2.Root, most int) (Contents, error) {
	f := file{parser: newParser(r), network: validatorsRoot, most: most, places: make(map[bls.PublicKey]int)}
	if err := f.read(); err != nil {
		return Contents{}, err
	}
	slices.SortFunc(f.contents.Records, func(a, b slashing.Record) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return f.contents, nil
}

// file is a file that is being read.
type file struct {
	*parser

	network  eth2.Root
	most     int                   // keys
	places   map[bls.PublicKey]int // in the records
	contents Contents
}

func (f *file) read() error {
	err := f.object(
		field{name: "metadata", read: f.metadata},
		field{name: "data", read: func() error { return f.array(f.validator) }},
	)
	if err == nil {
		err = f.end()
	}
	if _, placed := errors.AsType[*Error](err); err != nil && !placed {
		err = &Error{Err: err}
	}
	return err
}

func (f *file) metadata() error {
	return f.object(
		field{name: "interchange_format_version", read: func() error {
			version, err := f.text()
			if err == nil && version != Version {
				err = malformed("version %s; only version %s can be read", quote(version), Version)
			}
			return err
		}},
		field{name: "genesis_validators_root", read: func() error {
			root, err := f.root()
			if err == nil && root != f.network {
				err = &Error{Err: otherNetwork{root, f.network}}
			}
			return err
		}},
	)
}

// validator reads one entry of data. A key may have several.
func (f *file) validator() error {
	var all slashing.Record
	err := f.object(
		field{name: "pubkey", read: func() error {
			text, err := f.text()
			if err == nil {
				if all.Key, err = bls.ParsePublicKey(text); err != nil {
					err = malformed("%s: %w", quote(text), err)
				}
			}
			return err
		}},
		field{name: "signed_blocks", read: func() error {
			return f.array(func() error {
				b, err := f.block()
				all = slashing.Merged(all, slashing.Record{Block: &b})
				f.contents.Blocks++
				return err
			})
		}},
		field{name: "signed_attestations", read: func() error {
			return f.array(func() error {
				a, err := f.attestation()
				all = slashing.Merged(all, slashing.Record{Attestation: &a})
				f.contents.Attestations++
				return err
			})
		}},
	)
	if err != nil {
		return err
	}
	records := &f.contents.Records
	place, again := f.places[all.Key]
	switch {
	case again:
		(*records)[place] = slashing.Merged((*records)[place], all)
	case len(*records) == f.most:
		return malformed("more than %d keys", f.most)
	default:
		f.places[all.Key] = len(*records)
		*records = append(*records, all)
	}
	return nil
}

func (f *file) block() (slashing.Block, error) {
	b := slashing.Block{RootUnknown: true}
	err := f.object(
		field{name: "slot", read: func() error { return f.height(&b.Slot) }},
		field{name: "signing_root", optional: true, read: func() error { return f.signingRoot(&b.Root, &b.RootUnknown) }},
	)
	return b, err
}

func (f *file) attestation() (slashing.Attestation, error) {
	a := slashing.Attestation{RootUnknown: true}
	err := f.object(
		field{name: "source_epoch", read: func() error { return f.height(&a.Source) }},
		field{name: "target_epoch", read: func() error { return f.height(&a.Target) }},
		field{name: "signing_root", optional: true, read: func() error { return f.signingRoot(&a.Root, &a.RootUnknown) }},
	)
	if err == nil && a.Source > a.Target {
		err = within("source_epoch", malformed("source %d is above target %d", a.Source, a.Target))
	}
	return a, err
}

// text reads a string or a number, as it is written.
func (f *file) text() (string, error) {
	t, err := f.token()
	if err != nil {
		return "", err
	}
	switch v := t.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	}
	return "", malformed("want a string, not %s", describe(t))
}

// height reads an epoch or a slot, at most slashing.MaxHeight.
func (f *file) height(to *uint64) error {
	text, err := f.text()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || n > slashing.MaxHeight:
		return malformed("%s is above %d, the highest that can be recorded", shorten(text), uint64(slashing.MaxHeight))
	case err != nil && strings.HasPrefix(text, "-"):
		return malformed("%s is negative", quote(text))
	case err != nil:
		return malformed("%s is not a whole decimal number", quote(text))
	}
	*to = n
	return nil
}

func (f *file) root() (eth2.Root, error) {
	text, err := f.text()
	if err != nil {
		return eth2.Root{}, err
	}
	root, err := eth2.ParseRoot(shorten(text))
	if err != nil {
		return root, malformed("%w", err)
	}
	return root, nil
}

// signingRoot reads a root that may be null, which is as good as missing.
func (f *file) signingRoot(to *eth2.Root, unknown *bool) error {
	t, err := f.token()
	if err != nil || t == nil {
		return err
	}
	text, ok := t.(string)
	if !ok {
		return malformed("want a string, not %s", describe(t))
	}
	if *to, err = eth2.ParseRoot(shorten(text)); err != nil {
		return malformed("%w", err)
	}
	*unknown = false
	return nil
}
