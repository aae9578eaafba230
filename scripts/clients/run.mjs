// Lets validator clients' own code ask the signer for signatures: each client on each network of the plan gets a signer
// of its own. Exits with 1 if anything was not as it must be.
//   node run.mjs SIGNER LODESTAR PRYSM     the signer's binary, Lodestar's directory with its modules, the Prysm driver

import {spawn} from "node:child_process";
import {join} from "node:path";
import {startSigner} from "./signer.mjs";
import {table} from "./table.mjs";

const [binary, lodestarDir, prysmBinary] = process.argv.slice(2);

const lodestar = {name: "Lodestar 1.5.1", command: process.execPath, args: [join(lodestarDir, "drive.mjs")]};
const prysm = {name: "Prysm v7.0.0", command: prysmBinary, args: []};

// Forks are those that the network went through and the client's release knows.
const plan = [
  {client: lodestar, network: "sepolia", forks: ["phase0", "altair", "bellatrix", "capella"]},
  {client: prysm, network: "sepolia", forks: ["phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu"]},
  {client: prysm, network: "hoodi", forks: ["deneb", "electra", "fulu"]},
];

// What each client must have got signed in each fork, so that a driver that stops asking does not pass.
const always = ["AGGREGATION_SLOT", "AGGREGATE_AND_PROOF", "ATTESTATION", "RANDAO_REVEAL", "VOLUNTARY_EXIT"];

// What each client must have seen refused in each fork.
const never = ["(double vote)", "(other network)"];

const driverMilliseconds = 300_000;

// drive runs a client's driver to its end and returns its results.
async function drive({client, network, forks}, url) {
  const child = spawn(client.command, [...client.args, url, network, ...forks], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: driverMilliseconds,
  });
  let output = "";
  child.stdout.on("data", (b) => (output += b));
  const code = await new Promise((ended, fail) => child.once("error", fail).once("close", ended));
  const results = output.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  if (code !== 0) {
    results.push({type: "(driver)", fork: "", result: "failed", says: `ended with exit code ${code}`});
  }
  for (const fork of forks) {
    for (const type of always) {
      if (!results.some((r) => r.fork === fork && r.type.startsWith(type) && r.result === "ok")) {
        results.push({type, fork, result: "failed", says: "no signature"});
      }
    }
    for (const type of never) {
      if (!results.some((r) => r.fork === fork && r.type === type && r.result === "refused")) {
        results.push({type, fork, result: "failed", says: "no refusal"});
      }
    }
  }
  return results;
}

// unlogged are failures for refusals whose reason is not in the signer's log as often as clients were refused.
function unlogged(results, log) {
  const wanted = new Map();
  for (const r of results.filter((r) => r.result === "refused")) {
    wanted.set(r.reason, (wanted.get(r.reason) ?? 0) + 1);
  }
  return [...wanted].flatMap(([reason, times]) => {
    const logged = log.split("\n").filter((line) => line.includes(reason)).length;
    return logged >= times ? [] : [{type: "(signer's log)", fork: "", result: "failed", says: `"${reason}" ${logged} times, not ${times}`}];
  });
}

// So that a signer is not left behind: it is ended when this process exits.
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => process.exit(1));
}

let failed = 0;
for (const part of plan) {
  console.log(`\n${part.client.name} on ${part.network}`);
  const signer = await startSigner(binary, part.network);
  const results = await drive(part, signer.url);
  await signer.stop();
  results.push(...unlogged(results, signer.output()));
  console.log(table(results, part.forks));
  const told = results.filter((r) => r.result === "refused" || r.result === "text");
  for (const [type, says] of new Map(told.map((r) => [r.type, r.says]))) {
    console.log(`  ${type}: the client prints: ${says.trim()}`);
  }
  for (const r of results.filter((r) => r.result === "failed")) {
    failed++;
    console.log(`  FAILED ${r.type} ${r.fork}: ${r.says}`);
  }
}
console.log(failed === 0 ? "\nclients: every answer was as it must be" : `\nclients: ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
