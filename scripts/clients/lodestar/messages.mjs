// One message of each type that Lodestar asks an external signer for, in one fork, with Lodestar's signing root of it.

import {
  DOMAIN_AGGREGATE_AND_PROOF,
  DOMAIN_APPLICATION_BUILDER,
  DOMAIN_BEACON_ATTESTER,
  DOMAIN_BEACON_PROPOSER,
  DOMAIN_BLS_TO_EXECUTION_CHANGE,
  DOMAIN_CONTRIBUTION_AND_PROOF,
  DOMAIN_DEPOSIT,
  DOMAIN_RANDAO,
  DOMAIN_SELECTION_PROOF,
  DOMAIN_SYNC_COMMITTEE,
  DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF,
  DOMAIN_VOLUNTARY_EXIT,
  ForkSeq,
} from "@lodestar/params";
import {ZERO_HASH, computeDomain, computeSigningRoot, computeStartSlotAtEpoch} from "@lodestar/state-transition";
import {ssz} from "@lodestar/types";

const root = (byte) => new Uint8Array(32).fill(byte);

// vote is an attestation from the epoch to the next; the byte tells two votes with the same epochs apart.
export function vote(config, epoch, byte) {
  const slot = computeStartSlotAtEpoch(epoch + 1);
  const data = {
    slot,
    index: 3,
    beaconBlockRoot: root(byte),
    source: {epoch, root: root(1)},
    target: {epoch: epoch + 1, root: root(2)},
  };
  const domain = config.getDomain(slot, DOMAIN_BEACON_ATTESTER);
  return {type: "ATTESTATION", data, slot, root: computeSigningRoot(ssz.phase0.AttestationData, data, domain)};
}

// refused is what the signer says to what it never signs, by intent.
const refused = {
  fullBlock: "full block",
  unknownType: "not a known signing type",
};

// messages of the epoch: type, data, slot of the domain, root, and the words of a refusal where there must be one.
export function messages(config, epoch, pubkey) {
  const slot = computeStartSlotAtEpoch(epoch) + 1;
  const {seq} = config.getForkInfo(slot);
  const message = (type, data, sszType, domain, at = slot, value = data) => ({
    type,
    data,
    slot: at,
    root: computeSigningRoot(sszType, value, config.getDomain(at, domain)),
  });
  // Messages of no chain: the domain has the genesis fork version and a zero root.
  const timeless = (type, data, sszType, domain) => ({
    type,
    data,
    slot,
    root: computeSigningRoot(sszType, data, computeDomain(domain, config.GENESIS_FORK_VERSION, ZERO_HASH)),
  });

  const {BeaconBlock} = config.getForkTypes(slot);
  const block = {...BeaconBlock.defaultValue(), slot, proposerIndex: 7, parentRoot: root(4), stateRoot: root(5)};
  const attestation = vote(config, epoch, 3);
  const aggregate = ssz.phase0.AggregateAndProof.defaultValue();
  aggregate.aggregatorIndex = 7;
  aggregate.aggregate.data = attestation.data;
  const deposit = {pubkey, withdrawalCredentials: root(6), amount: 32e9};

  const list = [
    message("AGGREGATION_SLOT", {slot}, ssz.Slot, DOMAIN_SELECTION_PROOF, slot, slot),
    message("AGGREGATE_AND_PROOF", aggregate, ssz.phase0.AggregateAndProof, DOMAIN_AGGREGATE_AND_PROOF, attestation.slot),
    attestation,
    message("BLOCK_V2", block, BeaconBlock, DOMAIN_BEACON_PROPOSER),
    {
      ...timeless("DEPOSIT", deposit, ssz.phase0.DepositMessage, DOMAIN_DEPOSIT),
      data: {...deposit, genesisForkVersion: config.GENESIS_FORK_VERSION},
    },
    message("RANDAO_REVEAL", {epoch}, ssz.Epoch, DOMAIN_RANDAO, slot, epoch),
    message("VOLUNTARY_EXIT", {epoch, validatorIndex: 7}, ssz.phase0.VoluntaryExit, DOMAIN_VOLUNTARY_EXIT),
  ];
  if (seq < ForkSeq.bellatrix) {
    list.find((m) => m.type === "BLOCK_V2").refused = refused.fullBlock;
  }
  if (seq >= ForkSeq.altair) {
    const contribution = ssz.altair.ContributionAndProof.defaultValue();
    contribution.contribution.slot = slot;
    const selection = {slot, subcommitteeIndex: 2};
    list.push(
      message("SYNC_COMMITTEE_MESSAGE", {slot, beaconBlockRoot: root(8)}, ssz.Root, DOMAIN_SYNC_COMMITTEE, slot, root(8)),
      message("SYNC_COMMITTEE_SELECTION_PROOF", selection, ssz.altair.SyncAggregatorSelectionData, DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF),
      message("SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF", contribution, ssz.altair.ContributionAndProof, DOMAIN_CONTRIBUTION_AND_PROOF)
    );
  }
  if (seq >= ForkSeq.bellatrix) {
    const registration = {feeRecipient: new Uint8Array(20).fill(9), gasLimit: 36000000, timestamp: 1700000000, pubkey};
    list.push(timeless("VALIDATOR_REGISTRATION", registration, ssz.bellatrix.ValidatorRegistrationV1, DOMAIN_APPLICATION_BUILDER));
  }
  if (seq >= ForkSeq.capella) {
    const change = {validatorIndex: 7, fromBlsPubkey: pubkey, toExecutionAddress: new Uint8Array(20).fill(9)};
    list.push({
      ...timeless("BLS_TO_EXECUTION_CHANGE", change, ssz.capella.BLSToExecutionChange, DOMAIN_BLS_TO_EXECUTION_CHANGE),
      refused: refused.unknownType,
    });
  }
  return list;
}
