package software

import (
	"github.com/hf/nsm/response"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

const (
	registers     = 32
	firstForUsers = 16 // 0 to 15 are locked before the enclave starts
)

// bank is the measurement registers with their rules.
type bank struct {
	value  [registers]attestation.PCR
	locked [registers]bool
}

// newBank locks the registers that belong to the image and the instance; what is not measured stays zero. The signer is the certificate, in
// DER, of who signed the image.
func newBank(m Measurements, roleARN, instanceID string, signer []byte) *bank {
	b := &bank{}
	b.value[0], b.value[1], b.value[2] = m.PCR0, m.PCR1, m.PCR2
	if roleARN != "" {
		b.value[3] = extend(attestation.PCR{}, []byte(roleARN)) // no inner digest here, unlike the image's registers
	}
	b.value[8] = eif.PCR8(signer)
	b.value[4] = extend(attestation.PCR{}, []byte(instanceID))
	for i := range firstForUsers {
		b.locked[i] = true
	}
	return b
}

func (b *bank) describe(i uint16) response.Response {
	if i >= registers {
		return refuse(nsm.CodeInvalidIndex)
	}
	now := b.value[i]
	return response.Response{DescribePCR: &response.DescribePCR{Lock: b.locked[i], Data: now[:]}}
}

func (b *bank) extend(i uint16, data []byte) response.Response {
	switch {
	case i >= registers:
		return refuse(nsm.CodeInvalidIndex)
	case b.locked[i]:
		return refuse(nsm.CodeReadOnlyIndex)
	}
	b.value[i] = extend(b.value[i], data)
	now := b.value[i]
	return response.Response{ExtendPCR: &response.ExtendPCR{Data: now[:]}}
}

func (b *bank) lock(i uint16) response.Response {
	switch {
	case i >= registers:
		return refuse(nsm.CodeInvalidIndex)
	case b.locked[i]:
		return refuse(nsm.CodeReadOnlyIndex)
	}
	b.locked[i] = true
	return response.Response{LockPCR: &response.LockPCR{}}
}

// lockBelow locks registers 0 to n-1; those that are locked stay so.
func (b *bank) lockBelow(n uint16) response.Response {
	if n > registers {
		return refuse(nsm.CodeInvalidIndex)
	}
	for i := range n {
		b.locked[i] = true
	}
	return response.Response{LockPCRs: &response.LockPCRs{}}
}

// attested are the registers that stand in a document: the locked ones.
func (b *bank) attested() map[int]attestation.PCR {
	out := map[int]attestation.PCR{}
	for i, locked := range b.locked {
		if locked {
			out[i] = b.value[i]
		}
	}
	return out
}

func (b *bank) lockedIndexes() []uint16 {
	var out []uint16
	for i, locked := range b.locked {
		if locked {
			out = append(out, uint16(i))
		}
	}
	return out
}

func refuse(code response.ErrorCode) response.Response { return response.Response{Error: code} }
