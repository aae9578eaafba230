package signing

import (
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// TestFuture: what is too far ahead of the clock never reaches the store; what is behind it, however far, does.
func TestFuture(t *testing.T) {
	const genesis, epoch = 1_700_000_000, 32 * 12
	now := time.Unix(genesis+100*epoch+5, 0)
	store := storetest.NewMemory()
	h := open(t, store, 0, 0)
	h.network = &eth2.Network{Name: "testnet", ValidatorsRoot: network().ValidatorsRoot, GenesisTime: genesis, SlotsPerEpoch: 32, SecondsPerSlot: 12}
	h.future, h.now = 1, func() time.Time { return now }

	h.checkSign(t, vote(0, 102, 0), problem.Forbidden, "target epoch 102 is ahead of the current epoch 100 by more than 1 (anti_slashing.max_future_epochs)")
	h.checkSign(t, vote(0, 1<<63, 0), problem.Forbidden, "is ahead of the current epoch 100")
	h.checkSign(t, proposal(102*32, 0), problem.Forbidden, "epoch of the slot 102 is ahead")
	if _, _, err := h.SignAll(t.Context(), grants(eth2.Attestation, h.all...), vote(0, 102, 0)); problem.Of(err).Kind != problem.Forbidden {
		t.Errorf("a batch: %v", err)
	}
	h.checkSign(t, vote(0, 3, 0), 0, "") // nothing was recorded
	h.checkSign(t, vote(0, 101, 0), 0, "")
	h.checkSign(t, proposal(102*32-1, 0), 0, "")
	h.checkSign(t, eth2.NewRandaoReveal(fork(), 999), 0, "") // no vote

	now = time.Unix(genesis-1, 0)
	h.checkSign(t, vote(0, 102, 0), problem.Forbidden, "the current epoch 0")
	h.future = 0
	h.checkSign(t, vote(0, 102, 0), 0, "")
}
