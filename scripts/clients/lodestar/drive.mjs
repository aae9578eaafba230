// Asks a signer for signatures with Lodestar's external signer client, and verifies them with Lodestar's BLS library
// over Lodestar's signing roots.
//   node drive.mjs URL NETWORK FORK...
// Each line on stdout is one result: {"type", "fork", "result": "ok" | "refused" | "text" | "failed", "says", "reason"};
// text is the upcheck that this client cannot read, the reason is the words of a refusal that must be in the signer's log.

import bls from "@chainsafe/bls/herumi";
import {createIBeaconConfig} from "@lodestar/config";
import {networksChainConfig} from "@lodestar/config/networks";
import {externalSignerGetKeys, externalSignerPostSignature, externalSignerUpCheck} from "@lodestar/validator";
import {messages, vote} from "./messages.mjs";

const validatorsRoots = {sepolia: "d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078"};

const [url, network, ...forks] = process.argv.slice(2);
const config = createIBeaconConfig(networksChainConfig[network], Buffer.from(validatorsRoots[network], "hex"));
const astray = createIBeaconConfig(networksChainConfig[network], new Uint8Array(32).fill(0xee));

const report = (type, fork, result, says = "", reason = "") => console.log(JSON.stringify({type, fork, result, says, reason}));

const post = (key, {root, slot, type, data, as = config}) => externalSignerPostSignature(as, url, key, root, slot, {type, data});

// ask reports what became of one message.
async function ask(key, fork, row, message) {
  const {root, refused} = message;
  let signature;
  try {
    signature = await post(key, message);
  } catch (e) {
    report(row, fork, refused && e.message.includes(refused) ? "refused" : "failed", e.message, refused);
    return;
  }
  if (refused) {
    report(row, fork, "failed", "signed, and should have been refused");
    return;
  }
  const valid = bls.verify(Buffer.from(key.slice(2), "hex"), root, Buffer.from(signature.slice(2), "hex"));
  report(row, fork, valid ? "ok" : "failed", valid ? "" : "the signature does not verify");
}

// upcheck reports what Lodestar makes of /upcheck. This release takes any form (Accept: */*) and reads JSON alone; its
// validator never asks. The answer is text, as Web3Signer's is, unless JSON is asked for.
async function upcheck() {
  try {
    report("(upcheck)", "", (await externalSignerUpCheck(url)) ? "ok" : "failed");
  } catch (e) {
    const res = await fetch(`${url}/upcheck`);
    report("(upcheck)", "", res.status === 200 && (await res.text()).trim() === "OK" ? "text" : "failed", e.message);
  }
}

await upcheck();
const keys = await externalSignerGetKeys(url);
report("(public keys)", "", keys.length === 2 ? "ok" : "failed", `${keys.length} keys`);
const [key] = keys;

for (const fork of forks) {
  // Some epochs after the fork, so that the vote's source is in the fork too.
  const epoch = config.forks[fork].epoch + 5;
  for (const message of messages(config, epoch, Buffer.from(key.slice(2), "hex"))) {
    await ask(key, fork, message.type, message);
  }
  await ask(key, fork, "(double vote)", {...vote(config, epoch, 99), refused: "double vote"});
  await ask(key, fork, "(other network)", {...vote(astray, epoch + 2, 3), as: astray, refused: "genesis validators root"});
}
