package shamir

// Everything here takes the same steps and touches the same memory whatever the bytes are: no branch on them, no table indexed by them. A
// test holds this file to that form.

// reduction is x^8 in GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1, 0x11b.
const reduction = 0x1b

// mul multiplies in the field. (Adding and subtracting are both XOR.)
func mul(a, b byte) byte {
	var product byte
	for range 8 {
		product ^= a & -(b & 1) // -1 has all bits set
		a = a<<1 ^ reduction&-(a>>7)
		b >>= 1
	}
	return product
}

// inv is 1/a in the field, and 0 for 0: a to the power 254, since a to the power 255 is 1 for all but 0.
func inv(a byte) byte {
	power := a
	for range 6 {
		power = mul(mul(power, power), a) // the exponents 3, 7, 15, 31, 63, 127
	}
	return mul(power, power)
}

// addScaled adds factor times each byte of b to sum, which is as long.
func addScaled(sum []byte, factor byte, b []byte) {
	for i := range sum {
		sum[i] ^= mul(factor, b[i])
	}
}

// scaleAdd multiplies each byte of sum by factor and adds b's, which is as long: one step of Horner's rule.
func scaleAdd(sum []byte, factor byte, b []byte) {
	for i := range sum {
		sum[i] = mul(factor, sum[i]) ^ b[i]
	}
}
