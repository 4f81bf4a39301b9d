"""Who may call: everybody, or whoever shows the shared secret.

Rules this module keeps:

1. Credentials are compared in constant time, as hashes of one length, so that neither their length
   nor a common beginning shows in the time that a refusal takes.
2. No message, log or metric holds what a caller sent as a credential.
"""

import hashlib
import hmac
import secrets

from .http import ApiError, Request

_SCHEME = "bearer"
_CHALLENGE = (("WWW-Authenticate", 'Bearer realm="kith"'),)


class Authenticator:
    """Judges the credential of a request.

    Args:
        secret: What callers must show; None lets everybody in.
    """

    def __init__(self, secret: bytes | None) -> None:
        self._key = secrets.token_bytes(32)
        self._expected = None if secret is None else self._hashed(secret)
        self.failures = 0
        """Requests that were refused here."""

    @property
    def is_open(self) -> bool:
        """Whether no credential is asked for."""
        return self._expected is None

    def judge(self, request: Request) -> ApiError | None:
        """Why this caller may not come in: 401 `unauthenticated`; None if it may."""
        if self._expected is None:
            return None
        header = request.headers.get("authorization")
        if header is None:
            return self._refuse("this node asks for a credential: send Authorization: Bearer …")
        scheme, _, credential = header.partition(" ")
        if scheme.lower() != _SCHEME:
            return self._refuse("the scheme is not known here: send Authorization: Bearer …")
        shown = self._hashed(credential.strip().encode("utf-8", "surrogateescape"))
        if not hmac.compare_digest(shown, self._expected):
            return self._refuse("the credential is not the one of this node")
        return None

    def _hashed(self, credential: bytes) -> bytes:
        return hashlib.blake2b(credential, digest_size=32, key=self._key).digest()

    def _refuse(self, message: str) -> ApiError:
        self.failures += 1
        return ApiError(401, "unauthenticated", message, headers=_CHALLENGE)
