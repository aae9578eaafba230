package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// MaxToken is the longest token, what STS takes
	// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html).
	MaxToken = 20000
	// maxName is the longest ARN of a role there, and more than an agent's URL has.
	maxName = 2048
)

// IdentityRequest asks the parent with which token it would ask AWS for credentials. The enclave asks again for each refresh,
// because tokens rotate.
type IdentityRequest struct{ Version uint16 }

// Source says who gives credentials for a token.
type Source byte

// The sources. The zero Source is none of them.
const (
	// NoSource is a parent that was given no token.
	NoSource Source = iota + 1
	// WebIdentity is STS AssumeRoleWithWebIdentity, as for an IAM role of a Kubernetes service account (IRSA).
	WebIdentity
	// PodIdentity is an agent near the parent, as that of EKS Pod Identity.
	PodIdentity
)

func (s Source) String() string {
	switch s {
	case NoSource:
		return "none"
	case WebIdentity:
		return "web_identity"
	case PodIdentity:
		return "pod_identity"
	}
	return fmt.Sprintf("source %d", byte(s))
}

// Identity is what the parent was given to ask AWS for credentials with. The parent can use it as well, so that it is no secret of the enclave.
type Identity struct {
	Source Source
	// Name is the ARN of the role for WebIdentity and the agent's URL for PodIdentity, 1 to 2048 visible ASCII characters.
	Name string
	// Token is 1 to [MaxToken] visible ASCII characters.
	Token string
}

// String leaves the token out.
func (i Identity) String() string { return i.Source.String() + " " + i.Name }

// GoString leaves the token out.
func (i Identity) GoString() string { return i.String() }

// Check says what is wrong with i: with NoSource nothing else may be set, with others everything must be, within its limits. The error does not
// repeat the token.
func (i Identity) Check() error {
	switch i.Source {
	case NoSource:
		if i.Name != "" || i.Token != "" {
			return errors.New("an identity without source has a name or a token")
		}
		return nil
	case WebIdentity, PodIdentity:
		return errors.Join(visible("name", i.Name, maxName), visible("token", i.Token, MaxToken))
	}
	return fmt.Errorf("identity of unknown source %d", byte(i.Source))
}

// visible refuses what could end a line or a header.
func visible(what, text string, limit int) error {
	if len(text) == 0 || len(text) > limit {
		return fmt.Errorf("identity's %s has %d bytes, want 1 to %d", what, len(text), limit)
	}
	for at := range len(text) {
		if text[at] <= ' ' || text[at] > '~' {
			return fmt.Errorf("identity's %s has, at %d, a byte that is no visible ASCII character", what, at)
		}
	}
	return nil
}

// parseIdentity reads a byte of source, two bytes of the name's length (big endian), the name, the token; of NoSource only the first byte
// is there.
func parseIdentity(body []byte) (Message, error) {
	var i Identity
	switch {
	case len(body) == 1:
		i.Source = Source(body[0])
	case len(body) >= 3 && len(body)-3 >= int(binary.BigEndian.Uint16(body[1:])):
		end := 3 + int(binary.BigEndian.Uint16(body[1:]))
		i = Identity{Source: Source(body[0]), Name: string(body[3:end]), Token: string(body[end:])}
	default:
		return nil, errors.New("malformed identity")
	}
	if i.Source == NoSource && len(body) > 1 {
		return nil, errors.New("malformed identity")
	}
	if err := i.Check(); err != nil {
		return nil, err
	}
	return i, nil
}

func (IdentityRequest) kind() kind { return kindIdentityRequest }
func (Identity) kind() kind        { return kindIdentity }

func (m IdentityRequest) appendBody(b []byte) []byte {
	return binary.BigEndian.AppendUint16(b, m.Version)
}

func (i Identity) appendBody(b []byte) []byte {
	b = append(b, byte(i.Source))
	if i.Source == NoSource {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(i.Name)))
	return append(append(b, i.Name...), i.Token...)
}
