package nsm

import (
	"fmt"

	hf "github.com/hf/nsm"
	"github.com/hf/nsm/request"
	"github.com/hf/nsm/response"
)

// Session is one open security module, as [hf.Session] has it. Send answers one request; a refusal of the device is
// a response with its Error set, an error is a fault of the path to it. Nothing may be sent after Close.
type Session interface {
	Send(request.Request) (response.Response, error)
	Close() error
}

// whatToCheck is what an operator can do about a missing device, from the instance down to the pod.
const whatToCheck = "check that this process runs inside a Nitro enclave and that /dev/nsm exists there, " +
	"that the instance's launch template sets EnclaveOptions.Enabled=true, " +
	"and on Kubernetes that the Nitro Enclaves device plugin runs on the node and " +
	"the pod's resource limits name aws.ec2.nitro/nitro_enclaves"

// Open opens /dev/nsm. Its error begins with "NSM initialization failed" and says what to check.
func Open() (Session, error) { return open(hf.DefaultOptions) }

func open(opts hf.Options) (Session, error) {
	s, err := hf.OpenSession(opts)
	if err != nil {
		return nil, fmt.Errorf("NSM initialization failed: %w; %s", err, whatToCheck)
	}
	return s, nil
}
