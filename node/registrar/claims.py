"""One update id on its way, from the request that brought it to its result on disk."""

import time
from dataclasses import dataclass

import trio

from node.driver import Answer
from protocol.commits import Dot
from protocol.identity import NodeId
from storage import Result


@dataclass(frozen=True, slots=True)
class Request:
    """What makes two requests the same."""

    update_id: str
    """As the client gave it, or nothing."""
    body_hash: bytes


class Claim:
    """One request under way with its update id, on what is called `name` and `id`."""

    __slots__ = ("_me", "done", "id", "name", "request", "result", "signed", "taken", "update_id")

    def __init__(self, request: Request, me: NodeId, name: str, id_: str) -> None:
        self._me = me
        self.request = request
        self.update_id = request.update_id
        """The request's; or one that was drawn for its change, which nobody can repeat."""
        self.name = name
        self.id = id_
        self.result: Result | None = None
        """What it is answered with, once that is durable."""
        self.taken = False
        """Its change was taken: only the disk ends that now, whoever still waits."""
        self.signed: Result | None = None
        """On its way to the disk with the commit that it tells of."""
        self.done = trio.Event()

    @property
    def sign(self) -> Answer | None:
        """What is to be durable together with its commit; nothing without an update id."""
        return self._sign if self.request.update_id else None

    def answer(self, version: int) -> Result:
        """The result, if it was done in that version."""
        return Result(
            update_id=self.update_id, owner=self._me, name=self.name, id=self.id,
            version=version, body_hash=self.request.body_hash,
            created_at_us=time.time_ns() // 1_000,
        )  # fmt: skip

    def _sign(self, dot: Dot) -> Result:
        self.signed = self.answer(dot.version)
        return self.signed
