package eth2

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strconv"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// value is the value of a field, or an element of an array. Its methods read it; raw is nil if there is an error
// in the document already.
type value struct {
	in    *object
	name  string // in the object
	index int    // in the array of that name, or -1
	raw   []byte
}

// value is that of a field, which must be there and not null.
func (o *object) value(name string) value {
	v := value{in: o, name: name, index: -1}
	if o.doc.err != nil {
		return v
	}
	if raw := o.find(name); raw != nil && raw[0] != 'n' {
		v.raw = raw
	} else {
		v.fail("is missing")
	}
	return v
}

// fail records what is wrong with the value.
func (v *value) fail(reason string) {
	name := v.name
	if v.index >= 0 {
		name += "[" + strconv.Itoa(v.index) + "]"
	}
	v.in.fail(name, reason)
	v.raw = nil
}

// text reads a string; escape sequences stay as they are, since no value that is read needs one.
func (v *value) text() []byte {
	if v.raw == nil {
		return nil
	}
	if v.raw[0] != '"' {
		v.fail("is not a string")
		return nil
	}
	return v.raw[1 : len(v.raw)-1]
}

// digits reads a decimal integer, a string as in the beacon API or a bare number.
func (v *value) digits() []byte {
	d := v.raw
	if d == nil {
		return nil
	}
	if d[0] == '"' {
		d = d[1 : len(d)-1]
	}
	for _, c := range d {
		if c < '0' || c > '9' {
			d = nil
			break
		}
	}
	if len(d) == 0 || (d[0] == '0' && len(d) > 1) {
		v.fail("is not a decimal integer")
		return nil
	}
	return d
}

// number reads a uint64.
func (v *value) number() (n uint64) {
	for _, c := range v.digits() {
		high, low := bits.Mul64(n, 10)
		sum, carry := bits.Add64(low, uint64(c-'0'), 0)
		if high+carry != 0 {
			v.fail("is larger than 64 bits")
			return 0
		}
		n = sum
	}
	return n
}

// uint256 reads a number of at most 256 bits and returns it in little-endian order.
func (v *value) uint256() (le [32]byte) {
	var n [4]uint64 // least significant first
	for _, c := range v.digits() {
		carry := uint64(c - '0')
		for i := range n {
			high, low := bits.Mul64(n[i], 10)
			sum, more := bits.Add64(low, carry, 0)
			n[i], carry = sum, high+more
		}
		if carry != 0 {
			v.fail("is larger than 256 bits")
			return le
		}
	}
	for i := range n {
		binary.LittleEndian.PutUint64(le[8*i:], n[i])
	}
	return le
}

// boolean reads true or false, bare as in the beacon API or, as numbers may be, in a string.
func (v *value) boolean() bool {
	switch string(v.raw) {
	case `true`, `"true"`:
		return true
	case `false`, `"false"`, ``: // nothing after an error
		return false
	}
	v.fail("is neither true nor false")
	return false
}

// hex reads 0x and hexadecimal digits of either case into dst, which they must fill.
func (v *value) hex(dst []byte) {
	digits := v.hexDigits()
	if v.raw != nil && len(digits) != 2*len(dst) {
		v.fail(fmt.Sprintf("has %d hexadecimal digits, want %d", len(digits), 2*len(dst)))
	}
	v.decode(dst, digits)
}

// hexUpTo reads at most most bytes.
func (v *value) hexUpTo(most int) []byte {
	digits := v.hexDigits()
	if len(digits) > 2*most {
		v.fail(fmt.Sprintf("has %d hexadecimal digits, want at most %d", len(digits), 2*most))
		return nil
	}
	dst := make([]byte, len(digits)/2)
	v.decode(dst, digits)
	return dst
}

// byteList reads a progressive list of bytes through list, which is empty before and after, and returns its root. It
// holds only a few bytes at a time.
func (v *value) byteList(list *eth2.ProgressiveByteList) eth2.Root {
	digits := v.hexDigits()
	if len(digits)%2 != 0 {
		v.fail("has an odd number of hexadecimal digits")
		return eth2.Root{}
	}
	var part [512]byte
	for len(digits) > 0 && v.raw != nil {
		n := min(len(digits)/2, len(part))
		v.decode(part[:n], digits[:2*n])
		list.Append(part[:n])
		digits = digits[2*n:]
	}
	return list.Close()
}

// hexDigits are those after 0x.
func (v *value) hexDigits() []byte {
	text := v.text()
	if v.raw == nil {
		return nil
	}
	digits, ok := bytes.CutPrefix(text, []byte("0x"))
	if !ok {
		v.fail("does not begin with 0x")
		return nil
	}
	return digits
}

func (v *value) decode(dst, digits []byte) {
	if v.raw == nil {
		return
	}
	if len(digits)%2 != 0 {
		v.fail("has an odd number of hexadecimal digits")
		return
	}
	if _, err := hex.Decode(dst, digits); err != nil {
		v.fail("is not hexadecimal")
	}
}
