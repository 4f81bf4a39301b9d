"""Verify an answer of `GET /v1/proofs/services/{name}/{id}`, believing nobody but its owner's key.

    curl -s http://127.0.0.1:8400/v1/proofs/services/web/web-8000 | python verify_proof.py demo
    python verify_proof.py CLUSTER [URL|FILE] [--owner ID] [--root HEX] [--instance NAME/ID]

Needs PyNaCl and msgpack, nothing of Kith. Prints the instance and `valid` (exit 0), or what is
wrong (1). Say whom you mean by --owner: anybody can sign something. That there is nothing newer no
proof can tell: ask several nodes and compare `commit`.
"""

import argparse
import base64
import json
from functools import partial
from hashlib import blake2b
from pathlib import Path
from urllib.request import urlopen

import msgpack
from nacl.signing import VerifyKey

FIELDS = "name id address port tags metadata version weight zone checks in_maintenance maintenance"


def need(fact, otherwise):
    if not fact:
        raise ValueError(otherwise)


def hashed(data, person=b""):
    return blake2b(data, digest_size=32, person=person).digest()


def opened(packed):
    need(msgpack.packb(value := msgpack.unpackb(packed)) == packed, "bytes that are not canonical")
    return value


def owner_of(events, cluster):
    """The id; the epoch and the public key that sign now."""
    owner = before = promised = key = b""
    for number, event in enumerate(events):
        body, signature = opened(event)
        form, kind, sequence, previous, key, following = opened(body)
        need((form, sequence, previous) == (1, number, before), "key events out of order")
        need(kind == min(number, 1), "revoked, or a key event misplaced")  # inception, rotations
        need(not number or hashed(key, b"kith/next-key") == promised, "a key not committed to")
        VerifyKey(key).verify(b"kith/key-event/1\0" + cluster + body, signature)
        owner, before, promised = owner or hashed(body), hashed(body), following
    return owner, len(events) - 1, key


def root_of(levels, path, value):
    """The root of the tree in which the leaf lies below these branches, the root first."""
    found = hashed(b"\0" + path + value)
    for depth, level in reversed([*enumerate(levels)]):
        bitmap, place = int.from_bytes(level[:2], "big"), int(path.hex()[depth], 16)
        need(bitmap >> place & 1 and len(level) == 32 * bitmap.bit_count() - 30, "a broken path")
        mine = 2 + 32 * (bitmap & (1 << place) - 1).bit_count()
        found = hashed(b"\1" + level[:mine] + found + level[mine:])
    return found


def verify(proof, name, owner=None, root=None, instance=None):
    """The instance that the proof shows. Any exception says that it shows none."""
    cluster, raw = hashed(name.encode(), b"kith/cluster"), partial(base64.b64decode, validate=True)
    need(proof["cluster"] == cluster.hex(), f"not of the cluster {name!r}")
    who, epoch, key = owner_of([raw(event) for event in proof["key_events"]], cluster)
    need(base64.b32encode(who).decode().rstrip("=").lower() == proof["owner"], "another owner's")
    header, body = raw(proof["head"]["header"]), raw(proof["record"]["body"])
    kind, text = proof["record"]["kind"], proof["record"]["key"]
    form, of, signed_in, version, _, issued_at, state_root, _ = opened(header)
    need((form, of, signed_in) == (1, who, epoch), "another owner's head, or of a replaced key")
    VerifyKey(key).verify(b"kith/commit/1\0" + cluster + header, raw(proof["head"]["signature"]))
    path, state = hashed(f"{kind}\0{text}".encode()), map(raw, proof["state_path"])
    need(root_of(state, path, hashed(body)) == state_root, "not in the state that was signed")
    heads = root_of(map(raw, proof["root_path"]), who, hashed(header)).hex()
    need(heads == proof["root"] == (root or heads), "the head is not below that root")
    shown = dict(zip(FIELDS.split(), opened(body)[1:], strict=False))
    need((kind, text) == (1, f"{shown['name']}/{shown['id']}"), "not a service under its own key")
    is_meant = owner in (None, proof["owner"]) and instance in (None, text)
    need(is_meant, f"it shows {text} of {proof['owner']}, which is not what you mean")
    return {"owner": proof["owner"], "commit": version, "issued_at_us": issued_at, **shown}


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description="verify a proof of a Kith node")
    ask.add_argument("name", help="of the cluster")
    ask.add_argument("source", nargs="?", default="/dev/stdin", help="URL or file")
    for option in ("--owner", "--root", "--instance"):
        ask.add_argument(option)
    told = vars(ask.parse_args())
    where = told.pop("source")
    try:
        answer = urlopen(where, timeout=10).read() if "://" in where else Path(where).read_bytes()
        shown = verify(json.loads(answer), **told)
    except Exception as error:  # whatever cannot be read proves nothing
        raise SystemExit(f"invalid: {error or type(error).__name__}") from None
    print(json.dumps(shown, indent=2), "valid", sep="\n")
