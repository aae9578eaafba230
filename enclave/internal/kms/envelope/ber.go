package envelope

import (
	"errors"
	"fmt"
)

const (
	// maxSize is the most bytes that an envelope may have. KMS encrypts at most 6144 bytes, and what it opens or makes for an enclave
	// is at most 4096 (AWS KMS API Reference, Decrypt and Encrypt); all around that takes about 450.
	maxSize = 16 << 10
	// maxDepth is how deep elements may lie in each other; the hash inside the mask generation function is the eleventh.
	maxDepth = 11
	// constructed marks the tag of an element that holds elements.
	constructed = 0x20
	// indefinite stands in place of a length when an end-of-contents mark follows the last element.
	indefinite = 0x80
)

// element is one element of a basic encoding (ITU-T X.690, section 8), with lengths of either form.
type element struct {
	tag      byte      // the identifier octet: class, constructed and number
	content  []byte    // what a primitive element holds
	elements []element // what a constructed element holds
}

// parseElement reads the one element that in consists of. A length must be in its shortest form.
func parseElement(in []byte) (element, error) {
	if len(in) > maxSize {
		return element{}, fmt.Errorf("%d bytes, at most %d are allowed", len(in), maxSize)
	}
	e, rest, err := next(in, maxDepth)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes after the end", len(rest))
	}
	return e, err
}

// next reads the element that in begins with, in which elements lie at most depth deep, itself included.
func next(in []byte, depth int) (e element, rest []byte, err error) {
	switch {
	case depth == 0:
		return element{}, nil, fmt.Errorf("elements lie more than %d deep", maxDepth)
	case len(in) < 2:
		return element{}, nil, errors.New("ends early")
	case in[0]&0x1f == 0x1f || in[0] == 0:
		return element{}, nil, fmt.Errorf("unexpected tag %#02x", in[0])
	}
	e.tag = in[0]
	if in[1] == indefinite {
		return e.untilEnd(in[2:], depth)
	}
	content, rest, err := definite(in[1:])
	if err != nil {
		return element{}, nil, err
	}
	if e.tag&constructed == 0 {
		e.content = content
		return e, rest, nil
	}
	for len(content) > 0 {
		var child element
		if child, content, err = next(content, depth-1); err != nil {
			return element{}, nil, err
		}
		e.elements = append(e.elements, child)
	}
	return e, rest, nil
}

// untilEnd reads the elements in e up to the end-of-contents mark: two zero bytes.
func (e element) untilEnd(in []byte, depth int) (element, []byte, error) {
	if e.tag&constructed == 0 {
		return element{}, nil, fmt.Errorf("tag %#02x has no length", e.tag)
	}
	for len(in) < 2 || in[0] != 0 || in[1] != 0 {
		child, rest, err := next(in, depth-1)
		if err != nil {
			return element{}, nil, err
		}
		e.elements, in = append(e.elements, child), rest
	}
	return e, in[2:], nil
}

// definite splits in, which begins with a length of at least one byte, into as many bytes and the rest.
func definite(in []byte) (content, rest []byte, err error) {
	length, in := int(in[0]), in[1:]
	if length >= 0x80 {
		size := length & 0x7f // bytes of the length; two are enough for maxSize
		if size > 2 || size > len(in) {
			return nil, nil, errors.New("ends early")
		}
		length = 0
		for _, b := range in[:size] {
			length = length<<8 | int(b)
		}
		if length < 0x80 || size == 2 && length < 0x100 {
			return nil, nil, errors.New("a length is not in its shortest form")
		}
		in = in[size:]
	}
	if length > len(in) {
		return nil, nil, errors.New("ends early")
	}
	return in[:length], in[length:], nil
}
