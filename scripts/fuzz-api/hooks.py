"""Tokens and small aids for schemathesis, which loads this file.

The environment says which signer is fuzzed: FUZZ_CALLS is a JSON object with signer (files, chamber, or fresh for one without a master key
yet), the tokens management, client and setup that it knows, and keys, the public keys that it has from files.
"""

import base64
import json
import os

import requests
import schemathesis

CALLS = json.loads(os.environ["FUZZ_CALLS"])
CHAMBER = CALLS["signer"] == "chamber"
HOODI = "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"
DUTIES = ("sign", "public_keys")
SCHEME = "basic" if CHAMBER else "bearer"  # each has its turn: a wrong token costs half a second
# These have every kind of rule, and the rest is asked of the signer without a chamber.
KINDS_OF_CHAMBER = ("Attestation", "Block", "VoluntaryExit", "RandaoReveal")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Leaves out what this signer does not serve, and what its auth.mode does not make optional."""
    for path, item in list(raw_schema["paths"].items()):
        for method, operation in list(item.items()):
            if not isinstance(operation, dict) or method == "servers":
                continue
            if "servers" in item or not served(operation):
                del item[method]
                continue
            schemes = [one for one in operation.get("security", raw_schema["security"]) if SCHEME in one or one == {}]
            operation["security"] = [one for one in schemes if one or not CHAMBER]
        if not any(isinstance(o, dict) for o in item.values()):
            del raw_schema["paths"][path]
    shorten(raw_schema["components"]["schemas"])
    if CHAMBER:
        request = raw_schema["components"]["schemas"]["SignRequest"]
        request["oneOf"] = [one for one in request["oneOf"] if one["$ref"].rsplit("/", 1)[1] in KINDS_OF_CHAMBER]


def served(operation):
    """Says whether this signer has the operation, and answers it within seconds: a new master key waits for other replicas."""
    if operation.get("x-attested") or operation["operationId"] == "chamberRotateMasterKey":
        return False
    if operation["x-scope"] == "setup" or CALLS["signer"] == "fresh":
        return operation["x-scope"] == "setup" and CALLS["signer"] == "fresh"
    return CHAMBER or not operation.get("x-chamber")


def shorten(node):
    """Forgets limits that only lists of thousands reach: it takes minutes to draw one."""
    if isinstance(node, dict):
        if isinstance(node.get("maxItems"), int) and node["maxItems"] > 100:
            del node["maxItems"]
        for child in node.values():
            shorten(child)
    elif isinstance(node, list):
        for child in node:
            shorten(child)


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """A backup is text."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.auth(refresh_interval=None)
class Token:
    """Sends the token that x-scope names."""

    def get(self, case, context):
        scope = context.operation.definition.raw["x-scope"]
        if scope == "none":
            return ""
        if scope == "setup":
            return CALLS["setup"]
        return CALLS["client" if scope in DUTIES else "management"]

    def set(self, case, token, context):
        if token:
            shown = "Bearer " + token if SCHEME == "bearer" else "Basic " + base64.b64encode(f"fuzz:{token}".encode()).decode()
            case.headers = {**(case.headers or {}), "Authorization": shown}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Has good requests be such that others after them come far: for keys and the network that the signer has."""
    meta, body = case.meta, case.body
    if meta is None or not meta.generation.mode.is_positive or not isinstance(body, dict):
        return
    operation = case.operation.definition.raw
    if operation["operationId"] == "chamberRotateSlashingStore":
        body.pop("store_id", None)  # another store would keep this signer sealed
    if operation["x-scope"] != "sign":
        return
    request = body.get("signing_request", body)
    if isinstance(request, dict) and isinstance(request.get("fork_info"), dict):
        request["fork_info"]["genesis_validators_root"] = HOODI
        request.pop("signingRoot", None)
    if "identifier" in (case.path_parameters or {}):
        case.path_parameters["identifier"] = CALLS["keys"][len(json.dumps(body)) % len(CALLS["keys"])]


@schemathesis.hook
def after_call(context, case, response):
    """Undoes what would end the run: a seal, and a reset of the tokens that it uses."""
    if response.status_code != 200:
        return
    repair = {"chamberSeal": unseal, "chamberResetAuth": new_client}.get(case.operation.definition.raw["operationId"])
    if repair:
        repair(case.operation.base_url)


def order(base, method, path, body=None):
    headers = {"Authorization": "Bearer " + CALLS["management"]}
    answer = requests.request(method, base.rstrip("/") + path, json=body, headers=headers, timeout=30)
    answer.raise_for_status()
    return answer.json()


def unseal(base):
    order(base, "POST", "/api/v1/chamber/operator/unseal")


def new_client(base):
    rules = [{"effect": "allow"}, {"effect": "allow", "operations": ["VOLUNTARY_EXIT", "DEPOSIT"]}]
    order(base, "PUT", "/api/v1/chamber/auth/policies/duties", {"rules": rules})
    made = order(base, "POST", "/api/v1/chamber/auth/tokens", {"name": "fuzz", "policies": ["duties"]})
    CALLS["client"] = made["token"]
