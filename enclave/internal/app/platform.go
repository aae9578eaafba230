package app

import (
	"crypto/x509"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// Platform is where the signer runs. It is composed by the commands, so that what must not be in an enclave image
// is not linked into it: a switch at run time could be thrown by an attacker, a missing function cannot.
type Platform struct {
	// Name is the value of tee.platform.
	Name string
	// TEE is nil on platform none.
	TEE *TEE
	// Direct reaches servers where there is no enclave; nil in one, whose only way out is the route table.
	Direct egress.DialFunc
	// Backends are the stores of this binary, unless TEE makes them.
	Backends Backends
}

// TEE is an enclave, real or simulated.
type TEE struct {
	// Network reaches the parent.
	Network vsock.Network
	// OpenNSM opens the security module, and says under which roots its documents stand; nil roots are AWS's.
	OpenNSM func() (nsm.Session, []*x509.Certificate, error)
	// Backends makes the stores of this binary, which find AWS credentials by find: those that the parent relays.
	Backends func(find Credentials) Backends
	// Host says that this is a real enclave, whose kernel, loopback device and entropy are ours to set up.
	Host bool
}

// Nitro is a real enclave.
func Nitro() Platform {
	return Platform{
		Name: "nitro",
		TEE: &TEE{
			Network:  vsock.Kernel{},
			Backends: Remote,
			OpenNSM: func() (nsm.Session, []*x509.Certificate, error) {
				s, err := nsm.Open()
				return s, nil, err
			},
			Host: true,
		},
	}
}

// backends are those of this binary. In an enclave they find AWS credentials by relayed.
func (p Platform) backends(relayed Credentials) Backends {
	if p.TEE != nil && p.TEE.Backends != nil {
		return p.TEE.Backends(relayed)
	}
	return p.Backends
}
