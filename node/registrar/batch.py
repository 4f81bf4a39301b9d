"""Many registrations at once: each with its own result, those that can be in one commit.

    update ids ──▶ answered before? ──▶ known
                        │ new
                        ▼
    all others ──▶ begun, one after the other, nothing awaited ──▶ one commit ──▶ done
                        │ unchanged, or one update id twice
                        ▼
                   registered by themselves

Rules this module keeps:

1. No item changes what becomes of another, unless both are about one instance: then as if they had
   come one after the other.
2. No update id is held while another is waited for: two batches with the same ids in another order
   would wait for each other.
3. What has no result yet when the caller stops waiting may still take effect.
"""

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

import trio

from node.http import ApiError
from protocol.records import ServiceRecord

from .claims import Request
from .instances import Instances, Registered
from .updates import UpdateIds

Outcome: TypeAlias = Registered | ApiError
Item: TypeAlias = tuple[ServiceRecord, Request]
"""A stamped record and the request that it is registered with."""


class Batch:
    """One batch. `run` it once; `outcomes` has what is known by then, in the order of the items."""

    def __init__(self, instances: Instances, updates: UpdateIds, items: Sequence[Item]) -> None:
        self._instances = instances
        self._updates = updates
        self._items = items
        self._waiting = 0
        self._done = trio.Event()
        self.outcomes: list[Outcome | None] = [None] * len(items)

    async def run(self) -> None:
        """Register all of them."""
        await self._recall()
        alone = self._begin()
        # A nursery outside `server`: it bounds what belongs to one request alone.
        async with trio.open_nursery() as nursery:
            for place in alone:
                nursery.start_soon(self._register, place)
            if self._waiting:
                await self._done.wait()

    async def _recall(self) -> None:
        """Find what was answered before."""
        for place, (_, request) in enumerate(self._items):
            if request.update_id:
                try:
                    known = await self._updates.recall(request)
                except ApiError as error:
                    self.outcomes[place] = error
                else:
                    if known is not None:
                        self.outcomes[place] = Registered(
                            known.name, known.id, known.version, known.update_id
                        )

    def _begin(self) -> list[int]:
        """Begin all that can be, and say what has to be awaited by itself."""
        alone = []
        for place, (wanted, request) in enumerate(self._items):
            if self.outcomes[place] is not None:
                continue
            if self._updates.is_under_way(request.update_id):
                alone.append(place)
                continue
            try:
                found = self._instances.begin(
                    wanted, partial(self._tell, place), request, more=True
                )
            except ApiError as error:
                self.outcomes[place] = error
                continue
            if found == "begun":
                self._waiting += 1
            elif found == "await":
                alone.append(place)
            else:
                self.outcomes[place] = found
        if self._waiting:
            self._instances.flush()
        return alone

    def _tell(self, place: int, outcome: Outcome) -> None:
        self.outcomes[place] = outcome
        self._waiting -= 1
        if not self._waiting:
            self._done.set()

    async def _register(self, place: int) -> None:
        try:
            self.outcomes[place] = await self._instances.register(*self._items[place])
        except ApiError as error:
            self.outcomes[place] = error
