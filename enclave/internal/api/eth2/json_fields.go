package eth2

import (
	"fmt"
	"iter"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// The fields of an object, by the way they are read. Each must be there.

func (o *object) text(name string) []byte {
	v := o.value(name)
	return v.text()
}

func (o *object) number(name string) uint64 {
	v := o.value(name)
	return v.number()
}

func (o *object) uint256(name string) [32]byte {
	v := o.value(name)
	return v.uint256()
}

func (o *object) boolean(name string) bool {
	v := o.value(name)
	return v.boolean()
}

func (o *object) hex(name string, dst []byte) {
	v := o.value(name)
	v.hex(dst)
}

func (o *object) hexUpTo(name string, most int) []byte {
	v := o.value(name)
	return v.hexUpTo(most)
}

func (o *object) byteList(name string) eth2.Root {
	var list eth2.ProgressiveByteList
	v := o.value(name)
	return v.byteList(&list)
}

// root reads 32 bytes.
func (o *object) root(name string) (r eth2.Root) {
	o.hex(name, r[:])
	return r
}

// object reads a nested object.
func (o *object) object(name string) *object {
	v := o.value(name)
	child := o.doc.object(o, name, -1)
	switch {
	case v.raw == nil:
	case v.raw[0] != '{':
		v.fail("is not an object")
	default:
		child.split(v.raw)
	}
	return child
}

// isObject reports whether a field is there and is an object.
func (o *object) isObject(name string) bool {
	raw := o.find(name)
	return raw != nil && raw[0] == '{'
}

// array reads an array of at most most elements, one after the other, until one is wrong.
func (o *object) array(name string, most int) iter.Seq[*value] {
	return func(yield func(*value) bool) {
		list := o.value(name)
		raw := list.raw
		if raw == nil {
			return
		}
		if raw[0] != '[' {
			list.fail("is not an array")
			return
		}
		element := value{in: o, name: name}
		for i := nextToken(raw, 1); raw[i] != ']'; element.index++ {
			if raw[i] == ',' {
				i = nextToken(raw, i+1)
			}
			if element.index == most {
				list.fail(fmt.Sprintf("has more than %d elements", most))
				return
			}
			end := skip(raw, i)
			element.raw = raw[i:end]
			if !yield(&element) || o.doc.err != nil {
				return
			}
			i = nextToken(raw, end)
		}
	}
}

// maxObjects is the most objects in one array: MAX_DEPOSIT_REQUESTS_PER_PAYLOAD, the largest of the limits. It bounds our
// work; the chain's other limits are lower and may change without changing what is hashed.
const maxObjects = 8192

// objects reads an array of objects like array. An object is good only until the next one comes.
func (o *object) objects(name string) iter.Seq[*object] {
	return func(yield func(*object) bool) {
		child := o.doc.object(o, name, 0)
		members := len(o.doc.members)
		for element := range o.array(name, maxObjects) {
			if element.raw[0] != '{' {
				element.fail("is not an object")
				return
			}
			child.index, child.members = element.index, nil
			o.doc.members = o.doc.members[:members]
			child.split(element.raw)
			if o.doc.err != nil || !yield(child) {
				return
			}
		}
	}
}
