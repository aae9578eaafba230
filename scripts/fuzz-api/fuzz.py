"""Fuzzes the calls of a running signer against their description.

Three signers are started on platform none, one after the other, each on ports of its own and in a folder of its own that is removed: one with
keys and policies in files and auth.mode open; one with a chamber, whose KMS is the stand-in of the demonstration, and auth.mode policies; and
one whose chamber is yet to be made, for the calls that make it.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import tempfile
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "scripts" / "fuzz-api"
BUILD = ROOT / "build" / "fuzz-api"
DESCRIPTION = ROOT / "enclave" / "internal" / "api" / "openapi" / "openapi.yaml"

# The first is the key of the description's examples; nobody has money on any.
KEYS = {
    "0xa99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c":
        "25295f0d1d592a90b333e26e85149708208e9f8e8bc18f6c77bd62f8ad7a6866",
    "0x97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb":
        "0000000000000000000000000000000000000000000000000000000000000001",
    "0xa572cbea904d67468808c8eb50a9450c9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e":
        "0000000000000000000000000000000000000000000000000000000000000002",
}
KMS_KEY = "arn:aws:kms:eu-central-1:111122223333:key/0f3cbd2e-9d1c-4d3a-8b43-6f2f3f7a1c55"
KMS_ROLE = "arn:aws:iam::111122223333:role/signer"


def main():
    parser = argparse.ArgumentParser(prog="scripts/fuzz-api.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=int(os.environ.get("FUZZ_EXAMPLES", "10")), help="of each operation, beside those that follow from its schema")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("FUZZ_SEED", "1")), help="what the examples follow from")
    parser.add_argument("--only", choices=list(SIGNERS), help="one of the signers")
    parser.add_argument("more", nargs="*", help="further arguments of schemathesis, after --")
    args = parser.parse_args()
    failed = []
    for name, start in SIGNERS.items():
        if args.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="fuzz-api-") as folder, contextlib.ExitStack() as stack:
                signer = start(pathlib.Path(folder), stack)
                if not fuzz(name, signer, args):
                    failed.append(name)
    if failed:
        sys.exit("fuzz-api: not as described: " + ", ".join(failed))
    print("fuzz-api: every answer is as described")


def fuzz(name, signer, args):
    print(f"fuzz-api: {name}, seed {args.seed}, {args.examples} examples of each operation", flush=True)
    calls = json.dumps({**signer["tokens"], "signer": name, "keys": list(KEYS)})
    command = [
        str(pathlib.Path(sys.executable).with_name("st")), "--config-file", str(HERE / "schemathesis.toml"), "run", str(DESCRIPTION), "--url", signer["url"],
        "--phases", "examples,coverage,fuzzing", "--seed", str(args.seed), "--max-examples", str(args.examples), "--generation-database", "none",
        "--continue-on-failure", "--no-color", "--request-timeout", "30", "--suppress-health-check", "all", *args.more,
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"), "FUZZ_CALLS": calls}
    began = time.monotonic()
    code = subprocess.run(command, env=environment, cwd=signer["folder"], check=False).returncode
    print(f"fuzz-api: {name} took {time.monotonic() - began:.0f} s", flush=True)
    if signer["process"].poll() is not None:
        print(f"fuzz-api: the signer ended with {signer['process'].returncode}: the log is above", flush=True)
        return False
    panics = [line for line in signer["log"].read_text().splitlines() if "a handler panicked" in line]
    for line in panics[:3]:
        print("fuzz-api: " + line, flush=True)
    return code == 0 and not panics


def files(folder, stack):
    """A signer whose keys and policies are in files, with duties open to everybody."""
    tokens = {"management": "fuzz-management-" + secrets.token_hex(16), "client": "fuzz-client-" + secrets.token_hex(16)}
    digest = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in tokens.items()}
    (folder / "policies.yaml").write_text(f"""
policies:
  - name: duties
    rules:
      - {{effect: allow}}
      - {{effect: allow, operations: [VOLUNTARY_EXIT, DEPOSIT]}}
tokens:
  - {{name: operator, management: true, secret: "sha256:{digest['management']}"}}
  - {{name: fuzz, policies: [duties], secret: "sha256:{digest['client']}"}}
""")
    signer = serve(folder, stack, f"auth: {{mode: open, policy_file: {folder}/policies.yaml}}\n", {})
    return {**signer, "tokens": tokens}


def chamber(folder, stack):
    """A signer whose policies are kept under a master key, that only answers those whom they name."""
    signer, setup = with_kms(folder, stack, KMS_KEY)

    def ask(token, method, path, body):
        answer = requests.request(method, signer["url"] + path, json=body, headers={"Authorization": "Bearer " + token}, timeout=30)
        if answer.status_code != 200:
            sys.exit(f"fuzz-api: {method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    management = ask(setup, "POST", "/api/v1/chamber/operator/init", {"kms_key_arns": [KMS_KEY], "threshold": 1})["root_token"]
    rules = [{"effect": "allow"}, {"effect": "allow", "operations": ["VOLUNTARY_EXIT", "DEPOSIT"]}]
    ask(management, "PUT", "/api/v1/chamber/auth/policies/duties", {"rules": rules})
    client = ask(management, "POST", "/api/v1/chamber/auth/tokens", {"name": "fuzz", "policies": ["duties"]})["token"]
    return {**signer, "tokens": {"management": management, "client": client}}


def fresh(folder, stack):
    """A signer without a master key. It stays so: its configuration allows no KMS key that the description's examples name."""
    signer, setup = with_kms(folder, stack, KMS_KEY[:-1] + "0")
    return {**signer, "tokens": {"setup": setup}}


def with_kms(folder, stack, key):
    """A signer with a chamber yet to be made, and its setup token."""
    kms = folder / "kms"
    kms.mkdir()
    port = free_port()
    (kms / "policy.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": KMS_ROLE}, "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*"}]}))
    (kms / "kmsd.yaml").write_text(f"""
listen: 127.0.0.1:{port}
admin: unix:admin.sock
ca_cert_file: ca.pem
attestation_root_files: [{ROOT}/shared/attestation/aws-root-g1.pem]
keys: [{{arn: "{key}", policy_file: policy.json}}]
principals: [{{arn: "{KMS_ROLE}", access_key_id: ASIAFUZZ, secret_access_key: hush, session_token: session}}]
""")
    kmsd = start(folder / "kmsd.log", stack, [str(BUILD / "kmsd"), "-config", str(kms / "kmsd.yaml")], {})
    until("the KMS stand-in is ready", kmsd, folder / "kmsd.log", lambda: (kms / "ca.pem").exists() and listens(port))
    signer = serve(folder, stack, f"""
auth: {{mode: policies}}
signer_state: {{backend: sqlite, path: {folder}/state.sqlite}}
chamber: {{keys: {{generate: {{enabled: true}}}}, kms_key_arns: ["{key}"], kms_endpoint: "https://127.0.0.1:{port}", kms_ca_pem: "{(kms / "ca.pem").read_text().replace(chr(10), " ")}"}}
""", {"AWS_ACCESS_KEY_ID": "ASIAFUZZ", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_SESSION_TOKEN": "session"}, "database: {enabled: true}")
    setup = next(line["setup_token"] for line in map(json.loads, signer["log"].read_text().splitlines()) if "setup_token" in line)
    return signer, setup


SIGNERS = {"files": files, "chamber": chamber, "fresh": fresh}


def serve(folder, stack, more, environment, sources=""):
    """Starts a signer with the keys and every call that can be switched on."""
    (folder / "keys").mkdir()
    for number, secret in enumerate(KEYS.values()):
        (folder / "keys" / f"{number}.yaml").write_text(f'type: file-raw\nkeyType: BLS\nprivateKey: "{secret}"\n')
    port = free_port()
    (folder / "config.yaml").write_text(f"""
network: hoodi
server: {{listen_address: 127.0.0.1, listen_port: {port}}}
metrics: {{listen_address: 127.0.0.1, listen_port: {free_port()}}}
http: {{experimental: {{batch_sign: true}}, key_manager_api: {{enabled: true}}}}
key_sources:
  filesystem: {{paths: [{folder}/keys]}}
  {sources}
anti_slashing: {{backend: sqlite, api: true, sqlite: {{path: {folder}/slashing.sqlite}}}}
{more}""")
    log, url = folder / "signer.log", f"http://127.0.0.1:{port}"
    process = start(log, stack, [str(BUILD / "containment-chamber"), "server", "-c", str(folder / "config.yaml")], environment)

    def open_():
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(url + "/api/v1/operator/status", timeout=5).status_code != 503
        return False

    until("the signer answers", process, log, open_)
    return {"process": process, "log": log, "url": url, "folder": folder}


def start(log, stack, command, environment):
    """Starts a program, which ends with the stack."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment})

    def stop():
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(stop)
    return process


def until(what, process, log, holds, limit=60):
    end = time.monotonic() + limit
    while not holds():
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"fuzz-api: waited in vain until {what}:\n" + log.read_text()[-4000:])
        time.sleep(0.1)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


if __name__ == "__main__":
    main()
