package eth2

import "math"

// oracleKind is how requests of one type are made.
type oracleKind struct {
	name   string // of the type; the payload stands under it in lower case
	first  int    // the fork that brought it
	epochs uint64 // most that a message's epoch may be; zero if its domain is that of genesis
	// object makes what is signed, without spelling it.
	object func(d draw, at moment) objectValue
	// sizes are those at which the object's tree changes its shape. Each group begins with them.
	sizes func(fork int) []int
	// rate is the part of ORACLE_CASES that a group has: one in so many.
	rate int
}

// Most epochs: of messages whose slot or epoch has 64 bits, and of those that lodestar holds in 53.
const (
	wideEpochs     = math.MaxUint64
	wideSlotEpochs = math.MaxUint64 / slotsPerEpoch
	safeEpochs     = 1<<safeWidth - 1
	safeSlotEpochs = safeEpochs / slotsPerEpoch
)

func oracleKinds() []oracleKind {
	return append([]oracleKind{
		{name: "ATTESTATION", epochs: wideEpochs, object: attestationObject},
		{name: "AGGREGATION_SLOT", epochs: wideSlotEpochs, object: func(d draw, at moment) objectValue {
			return objectValue{{"slot", d.slot(at.epoch)}}
		}},
		{name: "AGGREGATE_AND_PROOF", epochs: safeSlotEpochs, object: aggregateObject, sizes: aggregationSizes},
		{name: "BLOCK_V2", first: bellatrix, epochs: wideSlotEpochs, object: headerObject},
		{name: "RANDAO_REVEAL", epochs: wideEpochs, object: func(_ draw, at moment) objectValue {
			return objectValue{{"epoch", uintValue(at.epoch)}}
		}},
		{name: "VOLUNTARY_EXIT", epochs: safeEpochs, object: func(d draw, at moment) objectValue {
			return objectValue{{"epoch", uintValue(at.epoch)}, {"validator_index", d.number(safeWidth)}}
		}},
		{name: "SYNC_COMMITTEE_MESSAGE", first: altair, epochs: wideSlotEpochs, object: func(d draw, at moment) objectValue {
			return objectValue{{"beacon_block_root", d.root()}, {"slot", d.slot(at.epoch)}}
		}},
		{name: "SYNC_COMMITTEE_SELECTION_PROOF", first: altair, epochs: safeSlotEpochs, object: func(d draw, at moment) objectValue {
			return objectValue{{"slot", d.slot(at.epoch)}, {"subcommittee_index", d.number(safeWidth)}}
		}},
		{name: "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF", first: altair, epochs: safeSlotEpochs, object: contributionObject},
		{name: "DEPOSIT", object: func(d draw, _ moment) objectValue {
			genesis := clientForks()[phase0].version
			return objectValue{
				{"pubkey", d.pubkey()},
				{"withdrawal_credentials", d.root()},
				{"amount", d.number(safeWidth)},
				{"genesis_fork_version", bytesValue(genesis[:])},
			}
		}},
		{name: "VALIDATOR_REGISTRATION", object: func(d draw, _ moment) objectValue {
			return objectValue{
				{"fee_recipient", d.address()},
				{"gas_limit", d.number(safeWidth)},
				{"timestamp", d.number(safeWidth)},
				{"pubkey", d.pubkey()},
			}
		}},
	}, gloasKinds()...)
}

func checkpointObject(d draw, epoch uintValue) objectValue {
	return objectValue{{"epoch", epoch}, {"root", d.root()}}
}

// attestationObject has numbers of 64 bits: only the target's epoch says what fork it is of.
func attestationObject(d draw, at moment) objectValue {
	return objectValue{
		{"slot", d.number(64)},
		{"index", d.number(64)},
		{"beacon_block_root", d.root()},
		{"source", checkpointObject(d, d.number(64))},
		{"target", checkpointObject(d, uintValue(at.epoch))},
	}
}

func headerObject(d draw, at moment) objectValue {
	return objectValue{
		{"slot", d.slot(at.epoch)},
		{"proposer_index", d.number(safeWidth)},
		{"parent_root", d.root()},
		{"state_root", d.root()},
		{"body_root", d.root()},
	}
}

func contributionObject(d draw, at moment) objectValue {
	return objectValue{
		{"aggregator_index", d.number(safeWidth)},
		{"contribution", objectValue{
			{"slot", d.slot(at.epoch)},
			{"beacon_block_root", d.root()},
			{"subcommittee_index", d.number(safeWidth)},
			{"aggregation_bits", d.bytes(16)},
			{"signature", d.signature()},
		}},
		{"selection_proof", d.signature()},
	}
}

// Most bits of an aggregate, before and since Electra.
const (
	committeeBits = 2048
	slotBits      = 64 * committeeBits
)

// aggregateObject has committee bits from Electra on. Its data's numbers are those that lodestar can hold; its
// target is not of the slot's epoch, since only the slot says what fork it is of.
func aggregateObject(d draw, at moment) objectValue {
	limit := slotBits
	if at.message < electra {
		limit = committeeBits
	}
	size := at.size
	if size < 0 {
		size = int(d.upTo(uint64(limit)))
	}
	aggregate := objectValue{
		{"aggregation_bits", d.bitlist(size)},
		{"data", objectValue{
			{"slot", d.slot(at.epoch)},
			{"index", d.number(safeWidth)},
			{"beacon_block_root", d.root()},
			{"source", checkpointObject(d, d.number(safeWidth))},
			{"target", checkpointObject(d, d.number(safeWidth))},
		}},
		{"signature", d.signature()},
	}
	if at.message >= electra {
		aggregate = append(aggregate, fieldValue{"committee_bits", d.bytes(8)})
	}
	return objectValue{
		{"aggregator_index", d.number(safeWidth)},
		{"aggregate", aggregate},
		{"selection_proof", d.signature()},
	}
}

// aggregationSizes are in bits. A progressive list has subtrees of 1, 4, 16, 64 and 256 chunks of 256 bits, so that a
// new one begins after 1, 5, 21, 85 and 341 chunks.
func aggregationSizes(fork int) []int {
	sizes := []int{0, 1, 7, 8, 9, 255, 256, 257, 2047, 2048}
	if fork >= electra {
		sizes = append(sizes, 2049, 4095, 4096, 4097, 65535, 65536, 65537, slotBits-1, slotBits)
	}
	if fork >= gloas {
		for _, chunks := range []int{2, 5, 6, 21, 22, 85, 86, 341, 342} {
			sizes = append(sizes, 256*chunks-1, 256*chunks, 256*chunks+1)
		}
	}
	return sizes
}
