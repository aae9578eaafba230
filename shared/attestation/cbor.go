package attestation

import (
	"fmt"
	"unicode/utf8"
)

// The bounds of a payload. Real ones nest 2 deep, hold 9 fields, 16 or more registers of 32, and 4 certificates.
const (
	maxNesting = 4
	maxArray   = 32
	maxPairs   = 64
)

// major is the kind of a CBOR item, the upper three bits of its first byte (RFC 8949, section 3.1).
type major byte

const (
	majorUint major = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

func (m major) String() string {
	return [...]string{"integer", "negative integer", "byte string", "text", "array", "map", "tag", "simple value"}[m&7]
}

// breakByte ends a collection of indefinite length.
const breakByte = 0xff

// The simple values that are allowed.
const (
	simpleFalse = 20
	simpleNull  = 22
)

// item is one decoded value.
type item struct {
	major major
	n     uint64 // of integers and simple values
	str   []byte // of byte strings and text; part of the input
	items []item // of arrays the elements; of maps keys and values by turns
}

func (it item) isNull() bool { return it.major == majorSimple && it.n == simpleNull }

// decoder reads the part of CBOR that attestation documents use, and refuses the rest: tags, floats, chunked strings,
// numbers and lengths that are not in their shortest form, duplicate keys, keys that are collections. Arrays and maps may have
// indefinite length, as the NSM of some hosts writes them.
type decoder struct {
	in  []byte
	off int
}

// decode reads exactly one item.
func decode(in []byte) (item, error) {
	d := &decoder{in: in}
	it, err := d.item(1)
	if err != nil {
		return item{}, err
	}
	return it, d.end()
}

func (d *decoder) end() error {
	if rest := len(d.in) - d.off; rest > 0 {
		return d.failf(d.off, "%d trailing bytes", rest)
	}
	return nil
}

// failf is the error at an offset of the input.
func (d *decoder) failf(at int, format string, args ...any) error {
	return fmt.Errorf("byte %d: %s", at, fmt.Sprintf(format, args...))
}

// item reads the item that stands at the given depth; the outermost has depth 1.
func (d *decoder) item(depth int) (item, error) {
	at := d.off
	m, n, indefinite, err := d.head()
	if err != nil {
		return item{}, err
	}
	switch m {
	case majorUint, majorNegative:
		return item{major: m, n: n}, nil
	case majorBytes, majorText:
		s, err := d.take(n)
		if err == nil && m == majorText && !utf8.Valid(s) {
			err = d.failf(at, "text is not UTF-8")
		}
		return item{major: m, str: s}, err
	case majorArray, majorMap:
		if depth > maxNesting {
			return item{}, d.failf(at, "nested more than %d deep", maxNesting)
		}
		return d.collection(m, n, indefinite, depth)
	case majorSimple:
		if n < simpleFalse || n > simpleNull {
			return item{}, d.failf(at, "simple value %d", n)
		}
		return item{major: m, n: n}, nil
	case majorTag:
	}
	return item{}, d.failf(at, "%v not allowed", m)
}

// byteString reads an item that must be a byte string.
func (d *decoder) byteString() ([]byte, error) {
	at := d.off
	m, n, _, err := d.head()
	if err != nil {
		return nil, err
	}
	if m != majorBytes {
		return nil, d.failf(at, "%v, want byte string", m)
	}
	return d.take(n)
}

// head reads the first byte of an item and the number that belongs to it.
func (d *decoder) head() (m major, n uint64, indefinite bool, err error) {
	at := d.off
	first, err := d.take(1)
	if err != nil {
		return 0, 0, false, err
	}
	m, info := major(first[0]>>5), first[0]&31
	switch {
	case info < 24:
		return m, uint64(info), false, nil
	case m == majorSimple && info < 31:
		return 0, 0, false, d.failf(at, "float or long simple value")
	case info < 28:
		n, err = d.number(info - 24)
		return m, n, false, err
	case info == 31 && (m == majorArray || m == majorMap):
		return m, 0, true, nil
	case info == 31 && (m == majorBytes || m == majorText):
		return 0, 0, false, d.failf(at, "chunked %v", m)
	}
	return 0, 0, false, d.failf(at, "byte 0x%02x cannot begin an item", first[0])
}

// number reads a big-endian number of 1<<width bytes. With one form for each number, equal keys have equal bytes.
func (d *decoder) number(width byte) (uint64, error) {
	at := d.off
	raw, err := d.take(1 << width)
	if err != nil {
		return 0, err
	}
	var n uint64
	for _, b := range raw {
		n = n<<8 | uint64(b)
	}
	if least := [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}[width]; n < least {
		return 0, d.failf(at, "number %d in %d bytes, not in its shortest form", n, len(raw))
	}
	return n, nil
}

func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.in)-d.off) {
		return nil, d.failf(d.off, "%d bytes expected, %d left", n, len(d.in)-d.off)
	}
	s := d.in[d.off : d.off+int(n) : d.off+int(n)]
	d.off += int(n)
	return s, nil
}

// collection reads the elements of an array or the pairs of a map.
func (d *decoder) collection(m major, n uint64, indefinite bool, depth int) (item, error) {
	it := item{major: m}
	limit, seen := uint64(maxArray), map[string]bool(nil)
	if m == majorMap {
		limit, seen = maxPairs, map[string]bool{}
	}
	for i := uint64(0); indefinite || i < n; i++ {
		if indefinite && d.off < len(d.in) && d.in[d.off] == breakByte {
			d.off++
			return it, nil
		}
		if i == limit {
			return item{}, d.failf(d.off, "%v of more than %d entries", m, limit)
		}
		if m == majorMap {
			key, err := d.key(depth, seen)
			if err != nil {
				return item{}, err
			}
			it.items = append(it.items, key)
		}
		value, err := d.item(depth + 1)
		if err != nil {
			return item{}, err
		}
		it.items = append(it.items, value)
	}
	return it, nil
}

// key reads a key that the map has not had yet.
func (d *decoder) key(depth int, seen map[string]bool) (item, error) {
	at := d.off
	key, err := d.item(depth + 1)
	if err != nil {
		return item{}, err
	}
	if key.major > majorText {
		return item{}, d.failf(at, "%v as key", key.major)
	}
	raw := string(d.in[at:d.off])
	if seen[raw] {
		return item{}, d.failf(at, "duplicate key %v", key)
	}
	seen[raw] = true
	return key, nil
}

// String shows integers and the beginning of strings, for errors.
func (it item) String() string {
	switch it.major {
	case majorUint:
		return fmt.Sprint(it.n)
	case majorNegative:
		return fmt.Sprintf("-1-%d", it.n)
	case majorText:
		return fmt.Sprintf("%.40q", it.str)
	case majorBytes:
		return fmt.Sprintf("h'%.40x'", it.str)
	case majorArray, majorMap, majorTag, majorSimple:
	}
	return it.major.String()
}
