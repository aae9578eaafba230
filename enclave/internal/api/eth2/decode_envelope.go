package eth2

import "github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"

// maxTransactions is the most transactions read from a payload. A block has at most 8 MiB of RLP (EIP-7934), 64 bytes for
// each of so many, which a transaction's signature alone fills. The specification's own limit, 2^20, bounds little: an
// empty transaction is five bytes of a body and several hashes.
const maxTransactions = 1 << 17

func envelope(o *object) eth2.Envelope {
	p := versioned(o, "payload", "execution_payload_envelope")
	return eth2.Envelope{
		Payload:               payload(p.object("payload")),
		ExecutionRequests:     executionRequests(p.object("execution_requests")),
		BuilderIndex:          p.number("builder_index"),
		BeaconBlockRoot:       p.root("beacon_block_root"),
		ParentBeaconBlockRoot: p.root("parent_beacon_block_root"),
	}
}

// payload reads an execution payload. Transactions and the block access list are hashed as they are read.
func payload(o *object) (p eth2.Payload) {
	p.ParentHash = o.root("parent_hash")
	o.hex("fee_recipient", p.FeeRecipient[:])
	p.StateRoot = o.root("state_root")
	p.ReceiptsRoot = o.root("receipts_root")
	o.hex("logs_bloom", p.LogsBloom[:])
	p.PrevRandao = o.root("prev_randao")
	p.BlockNumber = o.number("block_number")
	p.GasLimit = o.number("gas_limit")
	p.GasUsed = o.number("gas_used")
	p.Timestamp = o.number("timestamp")
	p.ExtraData = o.hexUpTo("extra_data", eth2.MaxExtraData)
	p.BaseFeePerGas = o.uint256("base_fee_per_gas")
	p.BlockHash = o.root("block_hash")
	p.Transactions = transactions(o)
	p.Withdrawals = withdrawals(o)
	p.BlobGasUsed = o.number("blob_gas_used")
	p.ExcessBlobGas = o.number("excess_blob_gas")
	p.BlockAccessList = o.byteList("block_access_list")
	p.SlotNumber = o.number("slot_number")
	return p
}

func transactions(o *object) eth2.Root {
	var list eth2.ProgressiveList
	var content eth2.ProgressiveByteList
	for transaction := range o.array("transactions", maxTransactions) {
		list.Add(transaction.byteList(&content))
	}
	return list.Root()
}

func withdrawals(o *object) eth2.Root {
	var list eth2.ProgressiveList
	for w := range o.objects("withdrawals") {
		withdrawal := eth2.Withdrawal{Index: w.number("index"), ValidatorIndex: w.number("validator_index")}
		w.hex("address", withdrawal.Address[:])
		withdrawal.Amount = w.number("amount")
		list.Add(withdrawal.Root())
	}
	return list.Root()
}

// executionRequests reads the five lists of Gloas. One that is missing is an error and not empty: a client that does
// not know it would sign another container.
func executionRequests(o *object) (r eth2.ExecutionRequests) {
	var deposits, withdrawals, consolidations, builderDeposits, builderExits eth2.ProgressiveList
	for e := range o.objects("deposits") {
		var d eth2.DepositRequest
		e.hex("pubkey", d.PublicKey[:])
		d.WithdrawalCredentials = e.root("withdrawal_credentials")
		d.Amount = e.number("amount")
		e.hex("signature", d.Signature[:])
		d.Index = e.number("index")
		deposits.Add(d.Root())
	}
	for e := range o.objects("withdrawals") {
		var w eth2.WithdrawalRequest
		e.hex("source_address", w.SourceAddress[:])
		e.hex("validator_pubkey", w.PublicKey[:])
		w.Amount = e.number("amount")
		withdrawals.Add(w.Root())
	}
	for e := range o.objects("consolidations") {
		var c eth2.ConsolidationRequest
		e.hex("source_address", c.SourceAddress[:])
		e.hex("source_pubkey", c.SourcePublicKey[:])
		e.hex("target_pubkey", c.TargetPublicKey[:])
		consolidations.Add(c.Root())
	}
	for e := range o.objects("builder_deposits") {
		var d eth2.BuilderDepositRequest
		e.hex("pubkey", d.PublicKey[:])
		d.WithdrawalCredentials = e.root("withdrawal_credentials")
		d.Amount = e.number("amount")
		e.hex("signature", d.Signature[:])
		builderDeposits.Add(d.Root())
	}
	for e := range o.objects("builder_exits") {
		var x eth2.BuilderExitRequest
		e.hex("source_address", x.SourceAddress[:])
		e.hex("pubkey", x.PublicKey[:])
		builderExits.Add(x.Root())
	}
	return eth2.ExecutionRequests{
		Deposits: deposits.Root(), Withdrawals: withdrawals.Root(), Consolidations: consolidations.Root(),
		BuilderDeposits: builderDeposits.Root(), BuilderExits: builderExits.Root(),
	}
}
