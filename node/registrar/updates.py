"""Update ids: a request that is repeated hears the first answer, also after a restart.

    request ──▶ under way here? wait ──▶ known here? ──▶ on disk? ──▶ new: claim it
                                                                        │
    next request ◀── table in memory, disk ◀── result, one transaction with the commit

Rules this module keeps:

1. A result is on disk before the request is answered: with the commit that it tells of, or, where
   nothing had to change, by itself. So no crash can come between, and no update is done twice.
2. The same id with another body is a conflict, whatever became of the first.
3. Nothing is awaited between finding an id unknown and claiming it.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from node.driver import Answer
from node.http import ApiError
from protocol.commits import Dot
from protocol.identity import NodeId
from storage import DiskFullError, QueueFullError, Result, Writer

from .failures import disk_full

KNOWN_MAX = 20_000
"""Results in memory; older ones are read from disk."""


@dataclass(frozen=True, slots=True)
class Request:
    """What makes two requests the same."""

    update_id: str
    """As the client gave it, or nothing."""
    body_hash: bytes


class Claim:
    """One request under way with its update id, on what is called `name` and `id`."""

    __slots__ = ("_me", "_written", "done", "id", "name", "request", "result")

    def __init__(self, request: Request, me: NodeId, name: str, id_: str) -> None:
        self.request = request
        self.name = name
        self.id = id_
        self.result: Result | None = None
        """What it is answered with, once that is durable."""
        self.done = trio.Event()
        self._me = me
        self._written: Result | None = None

    @property
    def answer(self) -> Answer | None:
        """For `commit`: what is to be durable together with it; nothing without an update id."""
        return self._answer if self.request.update_id else None

    def of(self, version: int) -> Result:
        """The result, if it was done in that version."""
        if self._written is not None and self._written.version == version:
            return self._written
        return Result(
            update_id=self.request.update_id, owner=self._me, name=self.name, id=self.id,
            version=version, body_hash=self.request.body_hash,
            created_at_us=time.time_ns() // 1_000,
        )  # fmt: skip

    def _answer(self, dot: Dot) -> Result:
        self._written = self.of(dot.version)
        return self._written

    def is_written(self, result: Result) -> bool:
        """Whether that went to the disk with a commit."""
        return result is self._written


class UpdateIds:
    """Which update ids were answered with what."""

    def __init__(self, writer: Writer, me: NodeId) -> None:
        self._writer = writer
        self._me = me
        self._known: OrderedDict[str, Result] = OrderedDict()
        self._claims: dict[str, Claim] = {}

    async def recall(self, request: Request) -> Result | None:
        """What the same request was answered with; None if it is new. Waits for one under way.

        Nothing is awaited before None is returned: claim it at once.

        Raises:
            ApiError: 409 `conflict`, the id was used with another body.
        """
        update_id = request.update_id
        while True:
            claim = self._claims.get(update_id)
            if claim is not None:
                _check_same(request, claim.request.body_hash)
                await claim.done.wait()
                continue
            result = self._known.get(update_id)
            if result is None:
                result = await self._writer.find_result(update_id)
            if result is not None:
                _check_same(request, result.body_hash)
                return result
            if update_id not in self._claims and update_id not in self._known:
                return None

    async def version_of(self, update_id: str, name: str, instance: str) -> int | None:
        """At which version an update of that instance was answered, if that is remembered."""
        result = self._known.get(update_id)
        if result is None:
            result = await self._writer.find_result(update_id)
        if result is None or (result.name, result.id) != (name, instance):
            return None
        return result.version

    @contextmanager
    def claim(self, request: Request, name: str, id_: str) -> Iterator[Claim]:
        """Hold an update id while its request is under way; remember the result, if it has one."""
        claim = Claim(request, self._me, name, id_)
        if not request.update_id:
            yield claim
            return
        self._claims[request.update_id] = claim
        try:
            yield claim
        finally:
            del self._claims[request.update_id]
            if claim.result is not None:
                self._known[request.update_id] = claim.result
                if len(self._known) > KNOWN_MAX:
                    self._known.popitem(last=False)
            claim.done.set()

    async def settle(self, claim: Claim, version: int) -> None:
        """The claimed request was done in that version: make sure that this is on disk.

        Raises:
            ApiError: 503 `disk_full`; nothing had to be changed, and nothing was.
        """
        if not claim.request.update_id:
            return
        result = claim.of(version)
        if not claim.is_written(result):
            try:
                await self._writer.write_through((), [result])
            except (DiskFullError, QueueFullError):
                raise disk_full(definite=True) from None
        claim.result = result


def conflict(update_id: str) -> ApiError:
    """409: an update id with another body than the first time."""
    return ApiError(
        409,
        "conflict",
        f"update_id {update_id[:128]!r} was used with another body; repeat the same body, or take "
        "a new id",
        "update_id",
    )


def _check_same(request: Request, body_hash: bytes) -> None:
    if request.body_hash != body_hash:
        raise conflict(request.update_id)
