// Starts the signer alone, with two keys that everybody knows and an empty slashing database, and stops it again.

import {spawn} from "node:child_process";
import {mkdtempSync, mkdirSync, rmSync, writeFileSync} from "node:fs";
import {createServer} from "node:net";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {setTimeout as pause} from "node:timers/promises";

// The first two interop keys: https://github.com/ethereum/eth2.0-pm/tree/master/interop/mocked_start
const keys = [
  "25295f0d1d592a90b333e26e85149708208e9f8e8bc18f6c77bd62f8ad7a6866",
  "51d0b65185db6989ab0b560d6deed19c7ead0e24b9b6372cbecb1f26bdfad000",
];

const readyMilliseconds = 60_000;

async function freePorts(n) {
  const servers = await Promise.all(
    Array.from({length: n}, () => new Promise((found, fail) => {
      const server = createServer().once("error", fail);
      server.listen(0, "127.0.0.1", () => found(server));
    }))
  );
  const ports = servers.map((s) => s.address().port);
  await Promise.all(servers.map((s) => new Promise((closed) => s.close(closed))));
  return ports;
}

function write(dir, network, [port, metrics]) {
  mkdirSync(join(dir, "keys"), {mode: 0o700});
  keys.forEach((key, i) =>
    writeFileSync(join(dir, "keys", `${i}.yaml`), `type: file-raw\nkeyType: BLS\nprivateKey: "${key}"\n`, {mode: 0o600})
  );
  const config = join(dir, "config.yaml");
  writeFileSync(config, `network: ${network}
server: {listen_port: ${port}}
metrics: {listen_address: 127.0.0.1, listen_port: ${metrics}}
key_sources: {filesystem: {paths: [${dir}/keys]}}
anti_slashing: {backend: sqlite, sqlite: {path: ${dir}/slashing.sqlite}}
`);
  return config;
}

// startSigner starts one for the network and waits until it is ready. stop drains it and removes its files.
export async function startSigner(binary, network) {
  const dir = mkdtempSync(join(tmpdir(), "clients-"));
  const ports = await freePorts(2);
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(CONTAINMENT_|PRODUCTION$|ENCLAVE_DEBUG$)/.test(name))
  );
  const child = spawn(binary, ["server", "-c", write(dir, network, ports)], {env, stdio: ["ignore", "pipe", "pipe"]});
  let output = "";
  child.stdout.on("data", (b) => (output += b));
  child.stderr.on("data", (b) => (output += b));
  let ended = false;
  const end = new Promise((ok) => {
    child.once("error", (e) => (output += e.message));
    child.once("close", (code) => {
      ended = true;
      ok(code);
    });
  });
  const clean = () => {
    child.kill("SIGKILL");
    rmSync(dir, {recursive: true, force: true});
  };
  process.once("exit", clean);

  const url = `http://127.0.0.1:${ports[0]}`;
  const limit = Date.now() + readyMilliseconds;
  while (!(await fetch(`${url}/readyz`).then((r) => r.ok, () => false))) {
    if (ended || Date.now() > limit) {
      throw new Error(`the signer did not become ready; it wrote:\n${output}`);
    }
    await pause(50);
  }

  const stop = async () => {
    child.kill("SIGTERM");
    const code = await end;
    process.off("exit", clean);
    clean();
    if (code !== 0) {
      throw new Error(`the signer ended with exit code ${code}; it wrote:\n${output.slice(-4000)}`);
    }
  };
  return {url, stop, output: () => output};
}
