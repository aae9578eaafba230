// Computes signing roots with lodestar's types and constants, to compare ours with.
//
// Each line on stdin is one signing request:
//   {"id", "type", "fork", "object"}            fork is the one that the chain is in while the request is signed
//   {"id", "type", "fork", "object", "seed"}    a block whose body is made here, from the seed
// Each line on stdout answers one, in the same order: "id root", "id root bodyRoot" or "id error reason".
//
// The request's fork_info is not read: which version belongs into a domain follows from the table below and from the
// consensus specifications alone. An object is made anew for each request, because roots are cached on objects.

import {createHash} from "node:crypto";
import {createInterface} from "node:readline";
import * as params from "@lodestar/params";
import {ssz} from "@lodestar/types";
import {fill} from "./fill.mjs";

// Sepolia: https://github.com/eth-clients/sepolia, metadata/config.yaml. The last entry is made up: requests are also
// sent while the fork after Gloas is the current one, and then a message of Gloas has the previous version.
const forks = [
  {name: "phase0", epoch: 0n, version: "0x90000069"},
  {name: "altair", epoch: 50n, version: "0x90000070"},
  {name: "bellatrix", epoch: 100n, version: "0x90000071"},
  {name: "capella", epoch: 56832n, version: "0x90000072"},
  {name: "deneb", epoch: 132608n, version: "0x90000073"},
  {name: "electra", epoch: 222464n, version: "0x90000074"},
  {name: "fulu", epoch: 272640n, version: "0x90000075"},
  {name: "gloas", epoch: 353024n, version: "0x90000076"},
  {name: "later", epoch: 500000n, version: "0x900000ff"},
];
const validatorsRoot = "0xd8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078";
const zeroRoot = "0x" + "00".repeat(32);

const index = (name) => forks.findIndex((f) => f.name === name);

// inForce is the fork of a message, as get_domain of the specifications sees it: the state knows its own fork and
// the one before.
function inForce(state, epoch) {
  const current = index(state);
  return epoch < forks[current].epoch ? forks[current - 1] : forks[current];
}

const epochOf = (slot) => BigInt(slot) / BigInt(params.SLOTS_PER_EPOCH);

// What is signed, by type: its domain type, the epoch that its domain is of (none: the domain is that of genesis and
// of no chain), and its SSZ type in the fork of the message.
//
// Where lodestar has types of full 64-bit width they are used. Its other numbers are exact below 2^53 only, and the
// requests keep to that: everything in an aggregate's data, proposer_index, indices of validators, builders (which
// may also be 2^64-1), withdrawals and subcommittees, epochs of exits, the slot of contributions and of all objects
// of Gloas, value of a bid, amounts of deposits, gas_limit and timestamp of registrations, and in a payload
// block_number, gas_limit, gas_used and timestamp.
const types = {
  AGGREGATION_SLOT: {
    domain: params.DOMAIN_SELECTION_PROOF,
    epoch: (o) => epochOf(o.slot),
    root: (o) => root(ssz.UintBn64, o.slot),
  },
  AGGREGATE_AND_PROOF: {
    domain: params.DOMAIN_AGGREGATE_AND_PROOF,
    epoch: (o) => epochOf(o.aggregate.data.slot),
    root: (o, fork) => root(ssz[fork].AggregateAndProof, o),
  },
  ATTESTATION: {
    domain: params.DOMAIN_BEACON_ATTESTER,
    epoch: (o) => BigInt(o.target.epoch),
    root: (o) => root(ssz.phase0.AttestationDataBigint, o),
  },
  BLOCK_V2: {
    domain: params.DOMAIN_BEACON_PROPOSER,
    epoch: (o) => epochOf(o.slot),
    root: (o) => root(ssz.phase0.BeaconBlockHeaderBigint, o),
  },
  DEPOSIT: {
    domain: params.DOMAIN_DEPOSIT,
    root: (o) => root(ssz.phase0.DepositMessage, o),
  },
  RANDAO_REVEAL: {
    domain: params.DOMAIN_RANDAO,
    epoch: (o) => BigInt(o.epoch),
    root: (o) => root(ssz.UintBn64, o.epoch),
  },
  VOLUNTARY_EXIT: {
    domain: params.DOMAIN_VOLUNTARY_EXIT,
    epoch: (o) => BigInt(o.epoch),
    root: (o) => root(ssz.phase0.VoluntaryExit, o),
  },
  SYNC_COMMITTEE_MESSAGE: {
    domain: params.DOMAIN_SYNC_COMMITTEE,
    epoch: (o) => epochOf(o.slot),
    root: (o) => root(ssz.Root, o.beacon_block_root),
  },
  SYNC_COMMITTEE_SELECTION_PROOF: {
    domain: params.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF,
    epoch: (o) => epochOf(o.slot),
    root: (o) => root(ssz.altair.SyncAggregatorSelectionData, o),
  },
  SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF: {
    domain: params.DOMAIN_CONTRIBUTION_AND_PROOF,
    epoch: (o) => epochOf(o.contribution.slot),
    root: (o) => root(ssz.altair.ContributionAndProof, o),
  },
  VALIDATOR_REGISTRATION: {
    domain: params.DOMAIN_APPLICATION_BUILDER,
    root: (o) => root(ssz.bellatrix.ValidatorRegistrationV1, o),
  },
  EXECUTION_PAYLOAD_BID: {
    domain: params.DOMAIN_BEACON_BUILDER,
    epoch: (o) => epochOf(o.slot),
    root: (o) => root(ssz.gloas.ExecutionPayloadBid, o),
  },
  EXECUTION_PAYLOAD_ENVELOPE: {
    domain: params.DOMAIN_BEACON_BUILDER,
    epoch: (o) => epochOf(o.payload.slot_number),
    root: (o) => root(ssz.gloas.ExecutionPayloadEnvelope, o),
  },
  PAYLOAD_ATTESTATION_MESSAGE: {
    domain: params.DOMAIN_PTC_ATTESTER,
    epoch: (o) => epochOf(o.slot),
    root: (o) => root(ssz.gloas.PayloadAttestationData, o),
  },
  PROPOSER_PREFERENCES: {
    domain: params.DOMAIN_PROPOSER_PREFERENCES,
    epoch: (o) => epochOf(o.proposal_slot),
    root: (o) => root(ssz.gloas.ProposerPreferences, o),
  },
  BUILDER_REQUEST_AUTH: {
    domain: params.DOMAIN_BUILDER_REQUEST_AUTH,
    root: (o) => root(ssz.gloas.BuilderRequestAuth, o),
  },
};

const root = (type, json) => type.hashTreeRoot(type.fromJson(json));

function signingRoot(objectRoot, domainType, version, genesisRoot) {
  const forkData = root(ssz.phase0.ForkData, {current_version: version, genesis_validators_root: genesisRoot});
  const domain = Buffer.concat([domainType, forkData.subarray(0, 28)]);
  return ssz.phase0.SigningData.hashTreeRoot({objectRoot, domain});
}

// domainOf is the version and genesis validators root of a request's domain.
function domainOf(type, state, object) {
  if (types[type].epoch === undefined) {
    return [forks[0].version, zeroRoot];
  }
  // EIP-7044: from Deneb on an exit is signed for Capella, whatever its epoch.
  if (type === "VOLUNTARY_EXIT" && index(state) >= index("deneb")) {
    return [forks[index("capella")].version, validatorsRoot];
  }
  return [inForce(state, types[type].epoch(object)).version, validatorsRoot];
}

// answer returns what stands after the id.
function answer({type, fork, object, seed}) {
  const t = types[type];
  const [version, genesisRoot] = domainOf(type, fork, object);
  const message = t.epoch === undefined ? fork : inForce(fork, t.epoch(object)).name;
  if (seed !== undefined) {
    const bytes = (counter) => createHash("sha256").update(`${seed} ${counter}`).digest();
    const blockType = ssz[message].BeaconBlock;
    const body = fill(blockType.fields.body, bytes);
    const block = {
      slot: Number(object.slot),
      proposerIndex: Number(object.proposer_index),
      parentRoot: ssz.Root.fromJson(object.parent_root),
      stateRoot: ssz.Root.fromJson(object.state_root),
      body,
    };
    const signed = signingRoot(blockType.hashTreeRoot(block), t.domain, version, genesisRoot);
    return `${hex(signed)} ${hex(blockType.fields.body.hashTreeRoot(body))}`;
  }
  return hex(signingRoot(t.root(object, message), t.domain, version, genesisRoot));
}

const hex = (bytes) => Buffer.from(bytes).toString("hex");

for await (const line of createInterface({input: process.stdin, crlfDelay: Infinity})) {
  const request = JSON.parse(line);
  let text;
  try {
    text = answer(request);
  } catch (e) {
    text = `error ${String(e.message).replaceAll("\n", " ")}`;
  }
  process.stdout.write(`${request.id} ${text}\n`);
}
