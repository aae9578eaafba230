package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Version is the boot protocol's version. Both sides must speak the same.
const Version = 1

// DigestSize is the size of a configuration digest, SHA-384.
const DigestSize = 48

// The boot protocol on [PortBoot]: the enclave connects and says [Hello]; the parent answers with
// [Configuration], or with [Heartbeat] if the enclave says that it has its configuration already, or with [Refusal];
// the enclave answers the configuration with [Acknowledgement]. From then on the enclave sends a
// [Heartbeat] every [HeartbeatEvery] and the parent answers each. A parent that is about to stop says [Draining] at once, and
// to each heartbeat and hello of a configured enclave from then on.
//
// A conversation of its own, on another connection, is [IdentityRequest] and its answer, [Identity] or [Refusal].
//
// A message is one byte of kind, four bytes of body length (big endian), the body.

// Message is one of the boot protocol's messages. The set is closed.
type Message interface {
	kind() kind
	appendBody([]byte) []byte
}

// Hello opens the conversation.
type Hello struct {
	Version uint16
	// Configured is true when an enclave that has its configuration connects again.
	Configured bool
}

// Configuration is the merged YAML configuration, at most [MaxConfiguration] bytes. The enclave treats it as hostile.
type Configuration struct{ YAML []byte }

// Acknowledgement says that the configuration was accepted.
type Acknowledgement struct {
	// Digest is the digest of the measured keys, as PCR16 was extended with it.
	Digest [DigestSize]byte
}

// Heartbeat says that the sender lives.
type Heartbeat struct {
	// Digest is the enclave's, echoed by the parent.
	Digest [DigestSize]byte
}

// Draining says that the parent is about to stop, and that clients should come through another one. It ends nothing: an enclave
// outlives its parent.
type Draining struct{}

// Refusal ends the conversation with a reason for people, at most 1 KiB.
type Refusal struct{ Reason string }

type kind byte

const (
	kindHello kind = iota + 1
	kindConfiguration
	kindAcknowledgement
	kindHeartbeat
	kindRefusal
	kindIdentityRequest
	kindIdentity
	kindDraining
)

const (
	headerSize = 5
	maxRefusal = 1 << 10
)

// ErrTooLarge is returned for a message above its kind's limit. Nothing of its body was read.
var ErrTooLarge = errors.New("message too large")

// WriteMessage writes m in one call of w.Write. A reason that is too long is cut; anything else is [ErrTooLarge]. An [Identity] that
// does not pass its Check is not written.
func WriteMessage(w io.Writer, m Message) error {
	if r, ok := m.(Refusal); ok && len(r.Reason) > maxRefusal {
		m = Refusal{Reason: r.Reason[:maxRefusal]}
	}
	if i, ok := m.(Identity); ok {
		if err := i.Check(); err != nil {
			return err
		}
	}
	b := m.appendBody(make([]byte, headerSize, headerSize+DigestSize))
	size := len(b) - headerSize
	if limit := m.kind().limit(); size > limit {
		return fmt.Errorf("%w: %v of %d bytes, limit %d", ErrTooLarge, m.kind(), size, limit)
	}
	b[0] = byte(m.kind())
	binary.BigEndian.PutUint32(b[1:], uint32(size))
	_, err := w.Write(b)
	return err
}

// ReadMessage reads one message. It allocates no more than the kind's limit and returns io.EOF only
// before the first byte; a message cut short is io.ErrUnexpectedEOF.
func ReadMessage(r io.Reader) (Message, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	k := kind(header[0])
	size := binary.BigEndian.Uint32(header[1:])
	limit := k.limit()
	if limit < 0 {
		return nil, fmt.Errorf("unknown message kind %d", k)
	}
	if uint64(size) > uint64(limit) {
		return nil, fmt.Errorf("%w: %v of %d bytes, limit %d", ErrTooLarge, k, size, limit)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read %v of %d bytes: %w", k, size, err)
	}
	return k.parse(body)
}

// limit is the largest body of a kind, -1 for a kind that is not known.
func (k kind) limit() int {
	switch k {
	case kindHello:
		return 3
	case kindConfiguration:
		return MaxConfiguration
	case kindAcknowledgement, kindHeartbeat:
		return DigestSize
	case kindRefusal:
		return maxRefusal
	case kindIdentityRequest:
		return 2
	case kindIdentity:
		return 3 + maxName + MaxToken
	case kindDraining:
		return 0
	}
	return -1
}

func (k kind) String() string {
	switch k {
	case kindHello:
		return "hello"
	case kindConfiguration:
		return "configuration"
	case kindAcknowledgement:
		return "acknowledgement"
	case kindHeartbeat:
		return "heartbeat"
	case kindRefusal:
		return "refusal"
	case kindIdentityRequest:
		return "identity request"
	case kindIdentity:
		return "identity"
	case kindDraining:
		return "draining"
	}
	return fmt.Sprintf("kind %d", byte(k))
}

func (k kind) parse(body []byte) (Message, error) {
	switch k {
	case kindHello:
		if len(body) != 3 || body[2] > 1 {
			return nil, errors.New("malformed hello")
		}
		return Hello{Version: binary.BigEndian.Uint16(body), Configured: body[2] == 1}, nil
	case kindConfiguration:
		return Configuration{YAML: body}, nil
	case kindAcknowledgement, kindHeartbeat:
		if len(body) != DigestSize {
			return nil, fmt.Errorf("%v has a digest of %d bytes, want %d", k, len(body), DigestSize)
		}
		if k == kindAcknowledgement {
			return Acknowledgement{Digest: [DigestSize]byte(body)}, nil
		}
		return Heartbeat{Digest: [DigestSize]byte(body)}, nil
	case kindRefusal:
		return Refusal{Reason: string(body)}, nil
	case kindIdentityRequest:
		if len(body) != 2 {
			return nil, errors.New("malformed identity request")
		}
		return IdentityRequest{Version: binary.BigEndian.Uint16(body)}, nil
	case kindIdentity:
		return parseIdentity(body)
	case kindDraining:
		return Draining{}, nil
	}
	return nil, fmt.Errorf("unknown message kind %d", byte(k))
}

func (Hello) kind() kind           { return kindHello }
func (Configuration) kind() kind   { return kindConfiguration }
func (Acknowledgement) kind() kind { return kindAcknowledgement }
func (Heartbeat) kind() kind       { return kindHeartbeat }
func (Refusal) kind() kind         { return kindRefusal }
func (Draining) kind() kind        { return kindDraining }

func (m Hello) appendBody(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, m.Version)
	if m.Configured {
		return append(b, 1)
	}
	return append(b, 0)
}
func (m Configuration) appendBody(b []byte) []byte   { return append(b, m.YAML...) }
func (m Acknowledgement) appendBody(b []byte) []byte { return append(b, m.Digest[:]...) }
func (m Heartbeat) appendBody(b []byte) []byte       { return append(b, m.Digest[:]...) }
func (m Refusal) appendBody(b []byte) []byte         { return append(b, m.Reason...) }
func (Draining) appendBody(b []byte) []byte          { return b }
