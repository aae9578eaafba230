package eth2

import "time"

// EpochAt is the epoch at a time, zero before genesis. ok is false for a network whose genesis time or seconds per slot is not
// known, which is zero.
func (n *Network) EpochAt(t time.Time) (epoch uint64, ok bool) {
	if n.GenesisTime == 0 || n.SecondsPerSlot == 0 {
		return 0, false
	}
	if unix := t.Unix(); unix > 0 && uint64(unix) > n.GenesisTime {
		epoch = n.EpochOf((uint64(unix) - n.GenesisTime) / n.SecondsPerSlot)
	}
	return epoch, true
}
