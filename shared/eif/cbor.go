package eif

import (
	"bytes"
	"fmt"
)

// The kinds of CBOR items of which a signature section is made, as the upper three bits of their first byte (RFC 8949, section 3.1).
const (
	cborBytes = 2
	cborArray = 4
)

// cborReader reads the few forms that a signature section is made of. Everything has exactly one form: lengths and numbers must be in
// their shortest one, collections of definite length, keys in their one order.
type cborReader struct {
	in  []byte
	off int
}

func (c *cborReader) failf(at int, format string, args ...any) error {
	return fmt.Errorf("byte %d: %s", at, fmt.Sprintf(format, args...))
}

// literal reads bytes that can only be these.
func (c *cborReader) literal(want, what string) error {
	if !c.skip(want) {
		rest := c.in[c.off:]
		return c.failf(c.off, "%x, want %s: %x", rest[:min(len(rest), len(want))], what, want)
	}
	return nil
}

// skip reads these bytes if they come next.
func (c *cborReader) skip(want string) bool {
	if !bytes.HasPrefix(c.in[c.off:], []byte(want)) {
		return false
	}
	c.off += len(want)
	return true
}

func (c *cborReader) take(n int) ([]byte, error) {
	if left := len(c.in) - c.off; n > left {
		return nil, c.failf(c.off, "%d bytes expected, %d left", n, left)
	}
	out := c.in[c.off : c.off+n]
	c.off += n
	return out, nil
}

// head reads the head of an item of a kind, with the number in it, below 65536.
func (c *cborReader) head(kind byte, what string) (int, error) {
	at := c.off
	first, err := c.take(1)
	if err != nil {
		return 0, err
	}
	if first[0]>>5 != kind {
		return 0, c.failf(at, "0x%02x does not begin %s", first[0], what)
	}
	info := first[0] & 31
	if info < 24 {
		return int(info), nil
	}
	if info > 25 {
		return 0, c.failf(at, "0x%02x begins %s that is too long, or of no definite length", first[0], what)
	}
	raw, err := c.take(1 << (info - 24))
	if err != nil {
		return 0, err
	}
	n, least := 0, [...]int{24, 1 << 8}[info-24]
	for _, b := range raw {
		n = n<<8 | int(b)
	}
	if n < least {
		return 0, c.failf(at, "number %d in %d bytes, not in its shortest form", n, len(raw))
	}
	return n, nil
}

// byteString reads a byte string, which stays a part of the input.
func (c *cborReader) byteString(what string) ([]byte, error) {
	n, err := c.head(cborBytes, what)
	if err != nil {
		return nil, err
	}
	return c.take(n)
}

// byteArray reads an array of numbers below 256, which is how AWS's tools write bytes.
func (c *cborReader) byteArray(what string) ([]byte, error) {
	n, err := c.head(cborArray, what)
	if err != nil {
		return nil, err
	}
	if left := len(c.in) - c.off; n > left { // a number has at least one byte
		return nil, c.failf(c.off, "%s of %d numbers, %d bytes left", what, n, left)
	}
	out := make([]byte, n)
	for i := range out {
		at := c.off
		number, err := c.head(0, "a number of "+what)
		if err != nil {
			return nil, err
		}
		if number > 0xff {
			return nil, c.failf(at, "%d in %s, want at most 255", number, what)
		}
		out[i] = byte(number)
	}
	return out, nil
}

func (c *cborReader) end() error {
	if left := len(c.in) - c.off; left > 0 {
		return c.failf(c.off, "%d trailing bytes", left)
	}
	return nil
}
