"""A guest's own key: with it a program without a node speaks for itself at `POST /registration`.

    key = GuestKey.load(path)                    # or GuestKey.create(), then key.save(path)
    body = key.sign({"action": "register", "id": "backend-7", …}, cluster="kith")
    httpx.post("http://127.0.0.1:8400/registration", json=body)

From its first signed word on, that key alone can speak for that id, through whichever node; lose
the file and the id is lost. The node applies the rules of each field and names what breaks one.

Rules this module keeps:

1. A key file has mode 0600 from its first byte on, and is never overwritten.
2. A file that others can read, or that is damaged, is refused and left as it is.
"""

import base64
import binascii
import json
import os
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from protocol.errors import MalformedError
from protocol.signing import KeyPair
from protocol.wire import guest_words

SEED_BYTES = 32
_KIND = "kith guest key 1"
_FILE_MAX = 4_096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class GuestKeyError(Exception):
    """A key or body that cannot be used: why, and what to do. Nothing was changed."""


class GuestKey:
    """The Ed25519 key of one guest. Make one with `create` or `load`."""

    def __init__(self, seed: bytes) -> None:
        self._keys = KeyPair(seed)
        self._last_ms = 0
        """When it last said something, Unix milliseconds."""

    @classmethod
    def create(cls) -> Self:
        """A new key, in memory only."""
        return cls(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in a file that `save` wrote.

        Raises:
            GuestKeyError: it is missing, open to others, or no such file.
        """
        try:
            with path.open("rb") as file:
                is_open = bool(os.fstat(file.fileno()).st_mode & 0o077)
                raw = file.read(_FILE_MAX + 1)
        except OSError as error:
            raise GuestKeyError(
                f"{path}: {error.strerror}; kith sign --new-key makes one"
            ) from None
        if is_open:
            raise GuestKeyError(
                f"{path}: others may read or write it; chmod 600 it, or make a new key"
            )
        key = cls(_seed_in(raw, path))
        if _field(raw, "public_key") != key.public_key:
            raise GuestKeyError(f"{path}: it is damaged; put a copy back, or make a new key")
        return key

    @property
    def public_key(self) -> str:
        """Base64, as it stands in a signed body and under `signed_by`."""
        return base64.b64encode(self._keys.public_key).decode()

    def save(self, path: Path) -> None:
        """Write it to a new file, durably, that only its owner can read.

        Raises:
            GuestKeyError: there is a file already, or it cannot be written.
        """
        seed = base64.b64encode(self._keys.seed).decode()
        document = {"kind": _KIND, "public_key": self.public_key, "seed": seed}
        try:
            _write_new(path, (json.dumps(document, indent=2) + "\n").encode())
        except FileExistsError:
            raise GuestKeyError(f"{path}: it exists, and a key is never overwritten") from None
        except OSError as error:
            raise GuestKeyError(f"{path}: {error.strerror}") from None

    def sign(
        self, body: Mapping[str, object], *, cluster: str, after: str | None = None
    ) -> dict[str, object]:
        """The body with everything that a signed word has, ready to be sent.

        Adds `public_key`, `cluster` and `signature`; and, where it has none, `last_updated`: now,
        but later than what this key object said before, and than `after`.

        Args:
            body: What is to be said; an older `signature` is dropped.
            cluster: The name of the cluster in which it is said.
            after: `last_updated` of the word before, RFC 3339, where another process said it.

        Raises:
            GuestKeyError: the body is of another cluster or key, or has no canonical form.
        """
        said = {"cluster": cluster, "public_key": self.public_key, **body}
        if said["cluster"] != cluster:
            raise GuestKeyError(f"the body is of the cluster {said['cluster']!r}, not {cluster!r}")
        if said["public_key"] != self.public_key:
            raise GuestKeyError("the body has the public_key of another key; leave it out")
        if said.get("last_updated") is None:
            said["last_updated"] = self._now(after)
        try:
            return guest_words.sign(said, self._keys)
        except MalformedError as error:
            raise GuestKeyError(str(error)) from None

    def _now(self, after: str | None) -> str:
        before_ms = max(self._last_ms, _milliseconds(after) if after is not None else 0)
        self._last_ms = max(time.time_ns() // 1_000_000, before_ms + 1)
        moment = _EPOCH + timedelta(milliseconds=self._last_ms)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_signed(body: Mapping[str, object], *, cluster: str) -> bool:
    """Whether the body is signed with the key that it names, for that cluster."""
    try:
        return guest_words.is_signed(
            guest_words.canonical(body),
            public_key=_decoded(body.get("public_key")),
            signature=_decoded(body.get("signature")),
            cluster=cluster,
        )
    except MalformedError:
        return False


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _seed_in(raw: bytes, path: Path) -> bytes:
    seed = _decoded(_field(raw, "seed"))
    if len(raw) > _FILE_MAX or _field(raw, "kind") != _KIND or len(seed) != SEED_BYTES:
        raise GuestKeyError(f"{path}: it is no guest's key; kith sign --new-key makes one")
    return seed


def _field(raw: bytes, name: str) -> object:
    try:
        document: object = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return document.get(name) if isinstance(document, dict) else None


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""


def _milliseconds(text: str) -> int:
    try:
        since = datetime.fromisoformat(text) - _EPOCH
    except (ValueError, TypeError):  # no time, or one without an offset
        raise GuestKeyError(f"{text[:40]!r} is no time such as 2026-01-02T03:04:05.678Z") from None
    return since // timedelta(milliseconds=1)
