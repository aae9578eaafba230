// Package deposit makes the deposit data of new validators.
package deposit

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// formatVersion is the release of ethstaker-deposit-cli whose entries ours are like. Launchpads refuse what is older than they know.
const formatVersion = "1.3.1"

// Data is one entry of a deposit_data-*.json file, as ethstaker-deposit-cli writes it and launchpads read it. Bytes are lower-case
// hexadecimal digits without 0x.
type Data struct {
	PublicKey             string `json:"pubkey"`
	WithdrawalCredentials string `json:"withdrawal_credentials"`
	Amount                uint64 `json:"amount"` // Gwei
	Signature             string `json:"signature"`
	MessageRoot           string `json:"deposit_message_root"`
	DataRoot              string `json:"deposit_data_root"`
	ForkVersion           string `json:"fork_version"`
	NetworkName           string `json:"network_name"`
	CLIVersion            string `json:"deposit_cli_version"`
}

// ErrSignature is returned for a signature that does not verify: a deposit with it would be lost.
var ErrSignature = errors.New("the signature that was made does not verify")

// Sign makes the deposit data of a key, which stays the caller's. It returns secret.ErrWiped if the key was wiped.
func (t Terms) Sign(key *bls.SecretKey) (Data, error) {
	public := key.PublicKey()
	if t.amount == 0 {
		return Data{}, errors.New("deposit of the zero Terms")
	}
	deposit := eth2.DepositMessage{
		PublicKey: public, WithdrawalCredentials: t.credentials, Amount: t.amount, GenesisForkVersion: t.forkVersion,
	}
	root := eth2.NewDeposit(deposit).SigningRoot()
	signature, err := key.Sign(root)
	if err == nil && !bls.Verify(public, root, signature) {
		err = ErrSignature
	}
	if err != nil {
		return Data{}, fmt.Errorf("deposit of %s: %w", public.Short(), err)
	}
	message, data := deposit.Root(), deposit.DataRoot(signature)
	return Data{
		PublicKey:             hex.EncodeToString(public[:]),
		WithdrawalCredentials: hex.EncodeToString(t.credentials[:]),
		Amount:                t.amount,
		Signature:             hex.EncodeToString(signature[:]),
		MessageRoot:           hex.EncodeToString(message[:]),
		DataRoot:              hex.EncodeToString(data[:]),
		ForkVersion:           hex.EncodeToString(t.forkVersion[:]),
		NetworkName:           t.networkName,
		CLIVersion:            formatVersion,
	}, nil
}
