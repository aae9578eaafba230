package age

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// alphabet has the 32 characters of Bech32 in the order of their values (BIP-173).
	alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	// checksumSize is how many characters the checksum has.
	checksumSize = 6
)

// decodeBech32 returns the bytes of lower-case Bech32 data, whose human-readable part is given. It keeps no limit of length.
func decodeBech32(human, data string) ([]byte, error) {
	values := make([]byte, len(data))
	for i := range data {
		v := strings.IndexByte(alphabet, data[i])
		if v < 0 {
			return nil, fmt.Errorf("has a character that Bech32 in lower case does not have: %q", data[i])
		}
		values[i] = byte(v)
	}
	if checksum(human, values) != 1 || len(values) < checksumSize {
		return nil, errors.New("its checksum is wrong: a character was mistyped or is missing")
	}
	values = values[:len(values)-checksumSize]
	decoded := make([]byte, 0, len(values)*5/8)
	var buffer, held uint
	for _, v := range values {
		buffer, held = buffer<<5|uint(v), held+5
		if held >= 8 {
			held -= 8
			decoded = append(decoded, byte(buffer>>held))
			buffer &= 1<<held - 1
		}
	}
	if held > 4 || buffer != 0 {
		return nil, errors.New("has bits beyond its last byte")
	}
	return decoded, nil
}

// checksum is 1 for the values of data that ends with its checksum (BIP-173).
func checksum(human string, values []byte) uint32 {
	sum := uint32(1)
	for i := range human {
		sum = step(sum, human[i]>>5)
	}
	sum = step(sum, 0)
	for i := range human {
		sum = step(sum, human[i]&31)
	}
	for _, v := range values {
		sum = step(sum, v)
	}
	return sum
}

// step takes a value into a checksum: a division by the generator of BIP-173, whose multiples are these.
func step(sum uint32, value byte) uint32 {
	top := sum >> 25
	sum = sum&0x1ffffff<<5 ^ uint32(value)
	for i, multiple := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
		if top>>i&1 == 1 {
			sum ^= multiple
		}
	}
	return sum
}
