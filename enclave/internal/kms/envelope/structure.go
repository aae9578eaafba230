package envelope

import (
	"crypto/aes"
	"fmt"
	"slices"
)

// The tags that occur (ITU-T X.680, section 8.6).
const (
	integer     = 0x02
	octetString = 0x04
	null        = 0x05
	object      = 0x06
	sequence    = 0x10 | constructed
	set         = 0x11 | constructed
	context0    = 0x80
	inContext0  = 0x80 | constructed
	inContext1  = 0x81 | constructed
)

// The object identifiers that occur, as they are encoded.
const (
	envelopedData = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03" // 1.2.840.113549.1.7.3
	data          = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01" // 1.2.840.113549.1.7.1
	rsaesOAEP     = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07" // 1.2.840.113549.1.1.7
	mgf1          = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08" // 1.2.840.113549.1.1.8
	sha256OID     = "\x60\x86\x48\x01\x65\x03\x04\x02\x01" // 2.16.840.1.101.3.4.2.1
	aes256CBC     = "\x60\x86\x48\x01\x65\x03\x04\x01\x2a" // 2.16.840.1.101.3.4.1.42
)

// version2 is the version of EnvelopedData and of KeyTransRecipientInfo when a key identifier names the recipient.
const version2 = "\x02"

// sealed is what an envelope holds, all of it encrypted but for the IV.
type sealed struct {
	key        []byte // the content's key, encrypted to the recipient's
	iv         []byte // one block
	ciphertext []byte // whole blocks, at least one
}

// parse reads an envelope for the recipient of that name.
func parse(in []byte, name []byte) (sealed, error) {
	root, err := parseElement(in)
	if err != nil {
		return sealed{}, err
	}
	var r reader
	info := r.inside(root, "ContentInfo", sequence, 2)
	r.want(info[0], "contentType", object, envelopedData)
	content := r.inside(info[1], "content", inContext0, 1)
	enveloped := r.inside(content[0], "EnvelopedData", sequence, 3) // without certificates and attributes
	r.want(enveloped[0], "version", integer, version2)

	recipients := r.inside(enveloped[1], "recipientInfos", set, 1)
	recipient := r.inside(recipients[0], "KeyTransRecipientInfo", sequence, 4)
	r.want(recipient[0], "version of KeyTransRecipientInfo", integer, version2)
	r.want(recipient[1], "subjectKeyIdentifier", context0, string(name))
	r.oaep(recipient[2])
	key := r.value(recipient[3], "encryptedKey", octetString)

	encrypted := r.inside(enveloped[2], "EncryptedContentInfo", sequence, 3)
	r.want(encrypted[0], "contentType of EncryptedContentInfo", object, data)
	algorithm := r.inside(encrypted[1], "contentEncryptionAlgorithm", sequence, 2)
	r.want(algorithm[0], "contentEncryptionAlgorithm", object, aes256CBC)
	iv := r.value(algorithm[1], "IV", octetString)
	ciphertext := r.chunks(encrypted[2])

	switch {
	case r.err != nil:
		return sealed{}, r.err
	case len(iv) != aes.BlockSize:
		return sealed{}, fmt.Errorf("IV has %d bytes, want %d", len(iv), aes.BlockSize)
	case len(ciphertext) == 0 || len(ciphertext)%aes.BlockSize != 0:
		return sealed{}, fmt.Errorf("encryptedContent has %d bytes, want whole blocks of %d", len(ciphertext), aes.BlockSize)
	}
	return sealed{key, iv, ciphertext}, nil
}

// reader takes elements apart and keeps the first error. After one, what it returns has no meaning.
type reader struct{ err error }

func (r *reader) fail(name string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s is not as it must be", name)
	}
}

// inside returns the count elements inside e, which must be one of that tag.
func (r *reader) inside(e element, name string, tag byte, count int) []element {
	if e.tag != tag || len(e.elements) != count {
		r.fail(name)
		return make([]element, count)
	}
	return e.elements
}

// value returns what the primitive element e holds, which must be one of that tag.
func (r *reader) value(e element, name string, tag byte) []byte {
	if e.tag != tag {
		r.fail(name)
	}
	return e.content
}

// want checks that e is of that tag and holds that value.
func (r *reader) want(e element, name string, tag byte, value string) {
	if got := r.value(e, name, tag); string(got) != value {
		r.fail(name)
	}
}

// oaep checks that e says RSAES-OAEP, with SHA-256 as hash and in the mask generation function, without a label (RFC 8017, appendix A.2.1).
func (r *reader) oaep(e element) {
	algorithm := r.inside(e, "keyEncryptionAlgorithm", sequence, 2)
	r.want(algorithm[0], "keyEncryptionAlgorithm", object, rsaesOAEP)
	parameters := r.inside(algorithm[1], "RSAES-OAEP-params", sequence, 2)
	hash := r.inside(parameters[0], "hashAlgorithm of RSAES-OAEP-params", inContext0, 1)
	r.sha256(hash[0], "hashAlgorithm of RSAES-OAEP-params")
	mask := r.inside(parameters[1], "maskGenAlgorithm of RSAES-OAEP-params", inContext1, 1)
	generator := r.inside(mask[0], "maskGenAlgorithm of RSAES-OAEP-params", sequence, 2)
	r.want(generator[0], "maskGenAlgorithm of RSAES-OAEP-params", object, mgf1)
	r.sha256(generator[1], "hash of maskGenAlgorithm")
}

// sha256 checks that e says SHA-256. Its parameters are absent or NULL (RFC 4055, section 2.1): OpenSSL leaves them out, KMS does not.
func (r *reader) sha256(e element, name string) {
	if len(e.elements) == 2 {
		r.want(e.elements[1], name, null, "")
		e.elements = e.elements[:1]
	}
	algorithm := r.inside(e, name, sequence, 1)
	r.want(algorithm[0], name, object, sha256OID)
}

// chunks returns the encrypted content: in one piece, or in octet strings that follow each other.
func (r *reader) chunks(e element) []byte {
	if e.tag != inContext0 {
		return r.value(e, "encryptedContent", context0)
	}
	pieces := make([][]byte, len(e.elements))
	for i, piece := range e.elements {
		pieces[i] = r.value(piece, "encryptedContent", octetString)
	}
	return slices.Concat(pieces...)
}
