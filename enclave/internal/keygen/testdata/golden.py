#!/usr/bin/env python3
"""Writes golden.json anew: what ethstaker-deposit-cli, on top of py_ecc, makes of a mnemonic.

    python3 -m venv /tmp/golden
    /tmp/golden/bin/pip install ethstaker-deposit==1.3.1
    /tmp/golden/bin/python golden.py > golden.json
"""
import json
import sys

from py_ecc.bls import G2ProofOfPossession as bls

from ethstaker_deposit.credentials import Credential
from ethstaker_deposit.settings import DEPOSIT_CLI_VERSION, get_chain_setting
from ethstaker_deposit.utils.ssz import DepositData, DepositMessage, compute_deposit_domain, compute_signing_root

# The last English mnemonic of BIP-39's test vectors: everybody has its keys.
MNEMONIC = ("void come effort suffer camp survey warrior heavy shoot primary clutch crush "
            "open amazing screen patrol group space point ten exist slush involve unfold")
ADDRESS = "0x8b0f2cfa1d6a4b0f1ab4c7d6bd4e5a1b00c0ffee"
ETH = 10**9

# Index of the key, network, compounding, amount in Gwei.
DEPOSITS = [
    (0, "mainnet", False, 32 * ETH),
    (1, "hoodi", False, 32 * ETH),
    (2, "sepolia", False, 1 * ETH),
    (3, "gnosis", False, 32 * ETH),
    (4, "mainnet", True, 2048 * ETH),
    (5, "hoodi", True, 33 * ETH + 1),
    (6, "mainnet", True, 1 * ETH),
]


def credential(index, network, compounding, amount):
    return Credential(mnemonic=MNEMONIC, mnemonic_password="", index=index, amount=amount,
                      chain_setting=get_chain_setting(network), hex_withdrawal_address=ADDRESS, compounding=compounding)


def hash_credentials(index, network, amount):
    """A deposit with credentials of type 0x00, which the tool has given up, from its parts."""
    c, setting = credential(index, network, False, amount), get_chain_setting(network)
    message = DepositMessage(pubkey=c.signing_pk, withdrawal_credentials=bytes([0]) + bytes(range(1, 32)), amount=amount)
    root = compute_signing_root(message, compute_deposit_domain(fork_version=setting.GENESIS_FORK_VERSION))
    data = DepositData(**message.as_dict(), signature=bls.Sign(c.signing_sk, root))
    return {**data.as_dict(), "deposit_message_root": message.hash_tree_root, "deposit_data_root": data.hash_tree_root,
            "fork_version": setting.GENESIS_FORK_VERSION, "network_name": setting.NETWORK_NAME,
            "deposit_cli_version": DEPOSIT_CLI_VERSION}


deposits = [credential(*d).deposit_datum_dict for d in DEPOSITS] + [hash_credentials(7, "mainnet", 32 * ETH)]
json.dump({"mnemonic": MNEMONIC, "deposits": deposits}, sys.stdout, default=lambda b: b.hex(), indent=2)
print()
