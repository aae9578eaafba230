package eth2

import (
	"math"
	"math/big"
)

func gloasKinds() []oracleKind {
	return []oracleKind{
		{name: "EXECUTION_PAYLOAD_BID", first: gloas, epochs: safeSlotEpochs, object: bidObject, sizes: func(int) []int {
			return append(listSizes(), 341, 342, 4096)
		}},
		{name: "EXECUTION_PAYLOAD_ENVELOPE", first: gloas, epochs: safeSlotEpochs, object: envelopeObject, rate: 10, sizes: envelopeSizes},
		{name: "PAYLOAD_ATTESTATION_MESSAGE", first: gloas, epochs: safeSlotEpochs, object: func(d draw, at moment) objectValue {
			return objectValue{
				{"beacon_block_root", d.root()},
				{"slot", d.slot(at.epoch)},
				{"payload_present", boolValue(d.IntN(2) == 0)},
				{"blob_data_available", boolValue(d.IntN(2) == 0)},
			}
		}},
		{name: "PROPOSER_PREFERENCES", first: gloas, epochs: safeSlotEpochs, object: func(d draw, at moment) objectValue {
			return objectValue{
				{"dependent_root", d.root()},
				{"proposal_slot", d.slot(at.epoch)},
				{"validator_index", d.number(safeWidth)},
				{"fee_recipient", d.address()},
				{"target_gas_limit", d.number(64)},
			}
		}},
		{name: "BUILDER_REQUEST_AUTH", first: gloas, object: func(d draw, at moment) objectValue {
			size := at.size
			if size < 0 {
				size = int(d.upTo(4096))
			}
			return objectValue{{"data", d.bytes(size)}, {"slot", d.number(safeWidth)}}
		}, sizes: func(int) []int { return []int{0, 1, 31, 32, 33, 63, 64, 65, 2047, 2048, 2049, 4095, 4096} }},
	}
}

// listSizes are the lengths at which the tree of a progressive list changes its shape: its subtrees have 1, 4, 16
// and 64 elements.
func listSizes() []int { return []int{0, 1, 2, 4, 5, 6, 20, 21, 22, 84, 85, 86} }

// byteSizes are the same in bytes, 32 to the element, up to the subtree of 1024.
func byteSizes() []int {
	return []int{
		0, 1, 31, 32, 33, 64, 65, 159, 160, 161, 671, 672, 673, 2719, 2720, 2721,
		10911, 10912, 10913, 43679, 43680, 43681,
	}
}

// builderIndex may be what stands for a proposer that builds its own payload, all ones.
func (d draw) builderIndex() uintValue {
	if d.IntN(4) == 0 {
		return math.MaxUint64
	}
	return d.number(safeWidth)
}

func bidObject(d draw, at moment) objectValue {
	size := at.size
	if size < 0 {
		size = d.IntN(24)
	}
	return objectValue{
		{"parent_block_hash", d.root()},
		{"parent_block_root", d.root()},
		{"block_hash", d.root()},
		{"prev_randao", d.root()},
		{"fee_recipient", d.address()},
		{"gas_limit", d.number(64)},
		{"builder_index", d.builderIndex()},
		{"slot", d.slot(at.epoch)},
		{"value", d.number(safeWidth)},
		{"execution_payment", d.number(64)},
		{"blob_kzg_commitments", d.list(size, func(d draw) any { return d.pubkey() })},
		{"execution_requests_root", d.root()},
	}
}

// envelopeSizes are turns at the sizes of all lists in the envelope: enough that each list has had each of its sizes.
func envelopeSizes(int) []int {
	turns := make([]int, max(len(byteSizes()), len(listSizes())))
	for i := range turns {
		turns[i] = i
	}
	return turns
}

// envelopeLists chooses the lengths of an envelope's lists. In turn t the n-th list has the size at t+n, so that
// no two lists grow together; after the turns sizes are drawn.
type envelopeLists struct {
	d    draw
	turn int // -1: drawn
	n    int
}

// next is the length of the next list, at most limit, the mainnet preset's.
func (e *envelopeLists) next(sizes []int, limit int) int {
	e.n++
	at := e.turn + e.n
	if e.turn < 0 {
		at = e.d.IntN(len(sizes))
	}
	return min(sizes[at%len(sizes)], limit)
}

const unlimited = math.MaxInt

func envelopeObject(d draw, at moment) objectValue {
	lists := &envelopeLists{d: d, turn: at.size}
	return objectValue{
		{"payload", payloadObject(d, at, lists)},
		{"execution_requests", executionRequestsObject(d, lists)},
		{"builder_index", d.builderIndex()},
		{"beacon_block_root", d.root()},
		{"parent_beacon_block_root", d.root()},
	}
}

func payloadObject(d draw, at moment, lists *envelopeLists) objectValue {
	transactions := d.list(lists.next(listSizes(), unlimited), func(d draw) any { return d.bytes(d.IntN(80)) })
	for i := range 2 { // the first two have special sizes
		if size := lists.next(byteSizes(), unlimited); i < len(transactions) {
			transactions[i] = d.bytes(size)
		}
	}
	return objectValue{
		{"parent_hash", d.root()},
		{"fee_recipient", d.address()},
		{"state_root", d.root()},
		{"receipts_root", d.root()},
		{"logs_bloom", d.bytes(256)},
		{"prev_randao", d.root()},
		{"block_number", d.number(safeWidth)},
		{"gas_limit", d.number(safeWidth)},
		{"gas_used", d.number(safeWidth)},
		{"timestamp", d.number(safeWidth)},
		{"extra_data", d.bytes(d.IntN(33))},
		{"base_fee_per_gas", textValue(new(big.Int).SetBytes(d.bytes(d.IntN(33))).String())},
		{"block_hash", d.root()},
		{"transactions", transactions},
		{"withdrawals", d.list(lists.next(listSizes(), 16), func(d draw) any {
			return objectValue{
				{"index", d.number(safeWidth)},
				{"validator_index", d.number(safeWidth)},
				{"address", d.address()},
				{"amount", d.number(64)},
			}
		})},
		{"blob_gas_used", d.number(64)},
		{"excess_blob_gas", d.number(64)},
		{"block_access_list", d.bytes(lists.next(byteSizes(), unlimited))},
		{"slot_number", d.slot(at.epoch)},
	}
}

// executionRequestsObject has lists within the limits of the mainnet preset; deposits have had none since Gloas.
func executionRequestsObject(d draw, lists *envelopeLists) objectValue {
	deposit := func(d draw) objectValue {
		return objectValue{
			{"pubkey", d.pubkey()},
			{"withdrawal_credentials", d.root()},
			{"amount", d.number(safeWidth)},
			{"signature", d.signature()},
		}
	}
	return objectValue{
		{"deposits", d.list(lists.next(listSizes(), unlimited), func(d draw) any {
			return append(deposit(d), fieldValue{"index", d.number(64)})
		})},
		{"withdrawals", d.list(lists.next(listSizes(), 16), func(d draw) any {
			return objectValue{
				{"source_address", d.address()},
				{"validator_pubkey", d.pubkey()},
				{"amount", d.number(64)},
			}
		})},
		{"consolidations", d.list(lists.next(listSizes(), 2), func(d draw) any {
			return objectValue{
				{"source_address", d.address()},
				{"source_pubkey", d.pubkey()},
				{"target_pubkey", d.pubkey()},
			}
		})},
		{"builder_deposits", d.list(lists.next(listSizes(), 64), func(d draw) any { return deposit(d) })},
		{"builder_exits", d.list(lists.next(listSizes(), 16), func(d draw) any {
			return objectValue{{"source_address", d.address()}, {"pubkey", d.pubkey()}}
		})},
	}
}
