"""What a guest with a key of its own signs: its JSON body, in the one way to write it.

    signature = Ed25519( "kith/guest/1" ‖ 0x00 ‖ canonical JSON (RFC 8785) of the body without it )

The body names its cluster, so that a word said in one is worthless in another. Whoever signs
(`mesh`, `kith sign`) and whoever judges (the node) does it here.

Rules this module keeps:

1. What anybody said can make these functions raise `MalformedError` and nothing else.
2. Which fields a body has, and what they may be, is not looked at: that is the edge's.
"""

import base64
import json
from collections.abc import Mapping

import rfc8785
from nacl import bindings
from nacl.exceptions import CryptoError

from protocol.errors import MalformedError
from protocol.signing import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Signer

PREFIX = b"kith/guest/1\0"


def canonical(body: Mapping[str, object]) -> bytes:
    """The bytes that are signed, without the prefix: the body without its `signature`.

    Raises:
        MalformedError: a value that RFC 8785 cannot write, such as an integer beyond 2^53.
    """
    unsigned = {name: value for name, value in body.items() if name != "signature"}
    try:
        return rfc8785.dumps(json.loads(json.dumps(unsigned)))
    except (ValueError, TypeError, RecursionError):
        raise MalformedError("guest", "a value without a canonical form (RFC 8785)") from None


def sign(body: Mapping[str, object], key: Signer) -> dict[str, object]:
    """The body with the key's `public_key` and `signature`, ready to be sent.

    Raises:
        MalformedError: as `canonical`.
    """
    said = {name: value for name, value in body.items() if name != "signature"}
    said["public_key"] = base64.b64encode(key.public_key).decode()
    signature = key.sign(PREFIX + canonical(said))
    return {**said, "signature": base64.b64encode(signature).decode()}


def is_signed(said: bytes, *, public_key: bytes, signature: bytes, cluster: str) -> bool:
    """Whether a canonical body is that key's word, said in that cluster. Never raises."""
    if len(signature) != SIGNATURE_BYTES or len(public_key) != PUBLIC_KEY_BYTES:
        return False
    try:
        bindings.crypto_sign_open(signature + PREFIX + said, public_key)
        document: object = json.loads(said)
    except (CryptoError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("cluster") == cluster
