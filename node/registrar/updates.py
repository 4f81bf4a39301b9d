"""Update ids: a request that is repeated hears the first answer, also after a restart.

    request ──▶ under way here? wait ──▶ known here? ──▶ on disk? ──▶ new: claim it
                                                                        │
    next request ◀── table in memory ◀── result ◀── commit is durable ◀─┘
                            └── every 50 ms ──▶ disk

Rules this module keeps:

1. A result is written after its commit, in groups, and costs the request no second fsync. A crash
   in between is covered by the update id that the record itself carries.
2. The same id with another body is a conflict, whatever became of the first.
3. Nothing is awaited between finding an id unknown and claiming it.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
import trio

from node.http import ApiError
from protocol.identity import NodeId
from storage import DiskFullError, QueueFullError, Result, StorageError, Writer

log = structlog.get_logger(__name__)

KNOWN_MAX = 20_000
"""Results in memory; older ones are read from disk."""
UNWRITTEN_MAX = 20_000
"""Results that wait for the disk; beyond it the oldest are left to the records' own update ids."""
WRITE_EVERY_S = 0.05
RETRY_S = 1.0
LAST_WRITE_S = 1.0
_BATCH_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Request:
    """What makes two requests the same."""

    update_id: str
    """As the client gave it, or nothing."""
    body_hash: bytes


class Claim:
    """One request under way with its update id. Set `result` when it has one."""

    __slots__ = ("done", "request", "result")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.result: Result | None = None
        self.done = trio.Event()


class UpdateIds:
    """Which update ids were answered with what. `run` writes them down."""

    def __init__(self, writer: Writer, me: NodeId) -> None:
        self._writer = writer
        self._me = me
        self._known: OrderedDict[str, Result] = OrderedDict()
        self._claims: dict[str, Claim] = {}
        self._unwritten: dict[str, Result] = {}
        self._wanted = trio.Event()
        self.dropped = 0
        """Results that were never written, for want of room."""

    @property
    def unwritten(self) -> Mapping[str, Result]:
        """What waits for the disk."""
        return self._unwritten

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
            result = self._known.get(update_id) or self._unwritten.get(update_id)
            if result is None:
                result = await self._writer.find_result(update_id)
            if result is not None:
                _check_same(request, result.body_hash)
                return result
            if update_id not in self._claims and update_id not in self._known:
                return None

    async def version_of(self, update_id: str, name: str, instance: str) -> int | None:
        """At which version an update of that instance was answered, if that is remembered."""
        result = self._known.get(update_id) or self._unwritten.get(update_id)
        if result is None:
            result = await self._writer.find_result(update_id)
        if result is None or (result.name, result.id) != (name, instance):
            return None
        return result.version

    @contextmanager
    def claim(self, request: Request) -> Iterator[Claim]:
        """Hold an update id while its request is under way; remember the result, if it has one."""
        claim = Claim(request)
        if not request.update_id:
            yield claim
            return
        self._claims[request.update_id] = claim
        try:
            yield claim
        finally:
            del self._claims[request.update_id]
            if claim.result is not None:
                self._remember(claim.result)
            claim.done.set()

    async def run(self) -> None:
        """Write down what is new, every 50 ms, until cancelled; then once more."""
        try:
            while True:
                await self._wanted.wait()
                await trio.sleep(WRITE_EVERY_S)
                if not await self.write():
                    await trio.sleep(RETRY_S)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_WRITE_S):
                await self.write()

    async def write(self) -> bool:
        """Write down what waits; whether there was room on the disk."""
        self._wanted = trio.Event()
        while self._unwritten:
            batch = list(self._unwritten.values())[:_BATCH_MAX]
            try:
                await self._writer.write_through((), batch)
            except (DiskFullError, QueueFullError) as error:
                log.debug("results_wait", reason=str(error), waiting=len(self._unwritten))
                self._wanted.set()
                return False
            except StorageError as error:
                # Fatal: the writer has told the server, which ends the process.
                log.debug("results_lost", reason=str(error))
                return False
            for result in batch:
                self._unwritten.pop(result.update_id, None)
        return True

    def _remember(self, result: Result) -> None:
        self._known[result.update_id] = result
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        self._unwritten[result.update_id] = result
        if len(self._unwritten) > UNWRITTEN_MAX:
            del self._unwritten[next(iter(self._unwritten))]
            self.dropped += 1
        self._wanted.set()


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
