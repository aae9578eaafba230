package slashing

// HighWatermark is the greatest height that may be signed. With it an operator freezes keys on every signer of a store, while they
// move elsewhere. MaxHeight limits nothing.
type HighWatermark struct {
	Slot  uint64 // of a block
	Epoch uint64 // of an attestation's target
}

// NoHighWatermark limits nothing.
func NoHighWatermark() HighWatermark { return HighWatermark{Slot: MaxHeight, Epoch: MaxHeight} }

// Lower is the lower of two in each height: what both allow.
func (h HighWatermark) Lower(o HighWatermark) HighWatermark {
	return HighWatermark{Slot: min(h.Slot, o.Slot), Epoch: min(h.Epoch, o.Epoch)}
}

// Judge says whether a vote may be signed. What was signed before is refused too once it is above.
func (h HighWatermark) Judge(v Vote) Verdict {
	switch v := v.(type) {
	case Attestation:
		if v.Target > h.Epoch {
			return refused("target %d is above the high watermark, epoch %d", v.Target, h.Epoch)
		}
		return Verdict{allowed: true}
	case Block:
		if v.Slot > h.Slot {
			return refused("slot %d is above the high watermark, slot %d", v.Slot, h.Slot)
		}
		return Verdict{allowed: true}
	}
	return refused("no vote")
}
