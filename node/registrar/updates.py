"""Update ids: a request that is repeated hears the first answer, also after a restart.

    request ──▶ under way here? wait ──▶ known here? ──▶ on disk? ──▶ new: claim it
                                                                        │
    next request ◀── table in memory, disk ◀── result, one transaction with the commit

Rules this module keeps:

1. A result is on disk before the request is answered: with the commit that it tells of, or, where
   nothing had to change, by itself. So no crash can come between, and no update is done twice.
2. An id whose change was taken stays claimed until that is on disk, also when nobody waits for it
   any more: its repetition must not be taken for a new one meanwhile.
3. The same id with another body is a conflict, whatever became of the first.
4. Nothing is awaited between finding an id unknown and claiming it.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from node.context import NodeContext
from node.http import ApiError
from protocol.events import Committed, Event
from storage import DiskFullError, QueueFullError, Result

from .claims import Claim, Request
from .failures import disk_full

KNOWN_MAX = 20_000
"""Results in memory; older ones are read from disk."""
DRAWN_MAX = 20_000
"""Update ids that this node drew for a client: what they did is known in memory alone."""


_Drawn: TypeAlias = tuple[str, str, int, int]
"""Name, id, version, Unix microseconds: a result, once somebody asks for it."""


class UpdateIds:
    """Which update ids were answered with what."""

    def __init__(self, context: NodeContext) -> None:
        self._driver = context.driver
        self._writer = context.writer
        self._me = context.me
        self._known: OrderedDict[str, Result] = OrderedDict()
        self._drawn: OrderedDict[str, _Drawn] = OrderedDict()
        self._claims: dict[str, Claim] = {}
        self._driver.listen(self._heard)

    async def find(self, update_id: str) -> Result | None:
        """What an update was answered with, if that is remembered; also one with a drawn id."""
        drawn = self._drawn.get(update_id)
        if drawn is None:
            return await self._answered(update_id)
        name, id_, version, at_us = drawn
        return Result(
            update_id=update_id, owner=self._me, name=name, id=id_, version=version,
            body_hash=b"", created_at_us=at_us,
        )  # fmt: skip

    async def recall(self, request: Request) -> Result | None:
        """What the same request was answered with; None if it is new. Waits for one under way.

        Nothing is awaited before None is returned: claim it at once.

        Raises:
            ApiError: 409 `conflict`, the id was used with another body; 503 `disk_full`, it was
                taken, and waits for room.
        """
        update_id = request.update_id
        while True:
            claim = self._claims.get(update_id)
            if claim is not None:
                _check_same(request, claim.request.body_hash)
                if claim.taken and self._driver.disk_full:
                    raise disk_full(definite=False)
                await claim.done.wait()
                continue
            result = await self._answered(update_id)
            if result is not None:
                _check_same(request, result.body_hash)
                return result
            if not self.is_under_way(update_id):
                return None

    async def version_of(self, update_id: str, name: str, instance: str) -> int | None:
        """At which version an update of that instance was answered, if that is remembered."""
        result = await self.find(update_id)
        if result is None or (result.name, result.id) != (name, instance):
            return None
        return result.version

    @contextmanager
    def claim(self, request: Request, name: str, id_: str) -> Iterator[Claim]:
        """Hold an update id while its request is under way; remember the result, if it has one."""
        if not request.update_id:
            claim = Claim(request, self._me, name, id_)
            yield claim
            if claim.result is not None:
                self.drew(claim.update_id, name, id_, claim.result.version)
            return
        claim = self.hold(request, name, id_)
        try:
            yield claim
        finally:
            self.let_go(claim)

    def hold(self, request: Request, name: str, id_: str) -> Claim:
        """`claim` for whoever does not wait: `let_go` unless its change was taken.

        Only of an update id that is new, nothing having been awaited since that was found.
        """
        claim = self._claims[request.update_id] = Claim(request, self._me, name, id_)
        return claim

    def let_go(self, claim: Claim) -> None:
        """Its request is over; the claim stays if its change is on its way to the disk."""
        if not claim.taken:
            self._release(claim)

    def is_under_way(self, update_id: str) -> bool:
        """Whether a request with it is under way, or was a moment ago: `recall` it again."""
        return update_id in self._claims or update_id in self._known

    def drew(self, update_id: str, name: str, id_: str, version: int) -> None:
        """Remember what was done under an id that was drawn for it."""
        self._drawn[update_id] = (name, id_, version, time.time_ns() // 1_000)
        if len(self._drawn) > DRAWN_MAX:
            self._drawn.popitem(last=False)

    async def settle(self, claim: Claim, version: int) -> None:
        """The claimed request was done in that version: make sure that this is on disk.

        Raises:
            ApiError: 503 `disk_full`; nothing had to be changed, and nothing was.
        """
        if claim.update_id and claim.signed is None:
            result = claim.answer(version)
            if claim.request.update_id:
                try:
                    await self._writer.write_through((), [result])
                except (DiskFullError, QueueFullError):
                    raise disk_full(definite=True) from None
            claim.result = result

    def _heard(self, event: Event) -> None:
        if isinstance(event, Committed):
            for claim in list(self._claims.values()):
                if claim.signed is not None and claim.signed.version == event.dot.version:
                    claim.result = claim.signed
                    self._release(claim)

    async def _answered(self, update_id: str) -> Result | None:
        return self._known.get(update_id) or await self._writer.find_result(update_id)

    def _release(self, claim: Claim) -> None:
        del self._claims[claim.update_id]
        if claim.result is not None:
            self._known[claim.update_id] = claim.result
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        claim.done.set()


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
