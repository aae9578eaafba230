package bls

import (
	"sync"

	blst "github.com/supranational/blst/bindings/go"
)

// Message is a signing root hashed to the curve. Hashing is about half of a signature's cost, and the same for all keys.
type Message struct {
	point *blst.P2
}

// NewMessage hashes a signing root to the curve (RFC 9380, the suite of the consensus specification).
func NewMessage(root [32]byte) *Message {
	return &Message{point: blst.HashToG2(root[:], []byte(suite))}
}

// Messages remembers the messages of the last signing roots, so that the many keys that sign one vote in a slot share its
// hashing. Messages are no secrets. It is safe for concurrent use.
type Messages struct {
	mu     sync.Mutex
	known  map[[32]byte]*Message
	oldest [][32]byte // the roots that are known; once full, a ring
	next   int        // in the ring, the oldest of all
}

// NewMessages remembers the last size roots, at least 1, in about 400 bytes each.
func NewMessages(size int) *Messages {
	return &Messages{known: make(map[[32]byte]*Message, size), oldest: make([][32]byte, 0, max(size, 1))}
}

// Of returns the message of a root. Two callers that come at the same time may both hash it.
func (m *Messages) Of(root [32]byte) *Message {
	if known := m.find(root); known != nil {
		return known
	}
	message := NewMessage(root) // outside of the lock: others sign meanwhile
	m.remember(root, message)
	return message
}

func (m *Messages) find(root [32]byte) *Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[root]
}

func (m *Messages) remember(root [32]byte, message *Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[root] != nil {
		return
	}
	if len(m.oldest) < cap(m.oldest) {
		m.oldest = append(m.oldest, root)
	} else {
		delete(m.known, m.oldest[m.next])
		m.oldest[m.next] = root
		m.next = (m.next + 1) % len(m.oldest)
	}
	m.known[root] = message
}
