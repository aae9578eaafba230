package eth2

// maxSubtrees is the most subtrees in one progressive tree: room for more than 2^30 chunks, or 32 GiB.
const maxSubtrees = 16

// progressive is the progressive Merkle tree of EIP-7916, hashed as its chunks come: beside a few nodes nothing of
// them is kept. The tree is a chain of subtrees with 1, 4, 16, … leaves, each a left child, and ends with zero.
type progressive struct {
	roots [maxSubtrees]Root // of the subtrees that are full
	full  int
	nodes [2 * maxSubtrees]Root // in the subtree under way: at level i the left node that waits for its right one
	count uint64                // chunks in the subtree under way; its bits say at which levels a node waits
}

// add appends a chunk.
func (p *progressive) add(node Root) {
	level := 0
	for n := p.count; n&1 == 1; n >>= 1 {
		node = pair(p.nodes[level], node)
		level++
	}
	p.nodes[level] = node
	p.count++
	if level == 2*p.full {
		p.roots[p.full] = node
		p.full++
		p.count = 0
	}
}

// root is that of the chunks added so far.
func (p *progressive) root() Root {
	var r Root
	if p.count > 0 {
		r = pair(p.last(), r)
	}
	for i := p.full - 1; i >= 0; i-- {
		r = pair(p.roots[i], r)
	}
	return r
}

// last is the root of the subtree under way, with zero for the chunks that it lacks.
func (p *progressive) last() Root {
	var rest, zero Root // the node at this level after the last one that waits, and one over zeros alone
	for level := range 2 * p.full {
		if p.count>>level&1 == 1 {
			rest = pair(p.nodes[level], rest)
		} else {
			rest = pair(rest, zero)
		}
		zero = pair(zero, zero)
	}
	return rest
}

// progressiveContainer is the root of a container of EIP-7495 of which all fields, at most 64, are active.
func progressiveContainer(fields ...Root) Root {
	var p progressive
	for _, f := range fields {
		p.add(f)
	}
	return pair(p.root(), number(1<<len(fields)-1))
}

// progressiveBitlist is the root of a progressive bit list, given in its serialised form like that of bitlist. limit
// bounds the bits; the type itself has no limit.
func progressiveBitlist(serialised []byte, limit int) (Root, error) {
	data, length, err := bitChunks(serialised, limit)
	if err != nil {
		return Root{}, err
	}
	var p progressive
	for _, chunk := range data {
		p.add(chunk)
	}
	return pair(p.root(), number(uint64(length))), nil
}

// ProgressiveList hashes a progressive list (EIP-7916) of containers, lists or vectors as it grows. The zero value is
// the empty list.
type ProgressiveList struct {
	tree   progressive
	length uint64
}

// Add appends an element, given by its root.
func (l *ProgressiveList) Add(element Root) {
	l.tree.add(element)
	l.length++
}

// Root is that of the list as it is.
func (l *ProgressiveList) Root() Root { return pair(l.tree.root(), number(l.length)) }

// ProgressiveByteList hashes a progressive list of bytes as it grows. The zero value is the empty list.
type ProgressiveByteList struct {
	tree   progressive
	length uint64
	chunk  Root // the last one, while it is not full
}

// Append appends bytes. It keeps none of them.
func (l *ProgressiveByteList) Append(b []byte) {
	for len(b) > 0 {
		filled := int(l.length % uint64(chunkSize))
		n := copy(l.chunk[filled:], b)
		b = b[n:]
		l.length += uint64(n)
		if filled+n == chunkSize {
			l.tree.add(l.chunk)
			l.chunk = Root{}
		}
	}
}

// Close returns the root of the list and empties it for the next one, which costs less than a new one does.
func (l *ProgressiveByteList) Close() Root {
	if l.length%uint64(chunkSize) != 0 {
		l.tree.add(l.chunk)
	}
	root := pair(l.tree.root(), number(l.length))
	l.tree.full, l.tree.count, l.length, l.chunk = 0, 0, 0, Root{}
	return root
}
