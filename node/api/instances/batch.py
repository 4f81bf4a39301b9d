"""`POST /v1/services:batch`: many registrations in one request, each with its own result.

Rules this module keeps:

1. What is no list of at most `ITEMS_MAX` is refused whole, with nothing done. All else is an item's
   own result, in the order of the items, in the shapes that the single route has.
2. The update id of a batch is that of its items, with their number: repeated whole, each item hears
   its first result.
3. At most `AT_ONCE_MAX` batches are under way, so that their bodies take no more than that many
   times `BODY_BYTES_MAX`. What is still coming in counts among the server's own `held_bytes_max`.
"""

from collections.abc import Mapping

import trio

from node.api.confirming import (
    CHANGE_S,
    CONFIRM,
    HANDLER_S,
    PARAMETERS,
    UNCONFIRMED,
    Confirming,
)
from node.api.fields import Fields, refused
from node.api.reading import request_of
from node.api.table import Endpoint
from node.context import NodeContext
from node.http import ApiError, Request, Response, Route, too_large
from node.http.errors import handler_timed_out
from node.registrar import Batch, Instances, Registered, UpdateIds, overloaded
from node.registrar import Request as Asked
from protocol.identity import id_text
from protocol.limits import NAME_MAX
from protocol.records import ServiceRecord

from .wanted import Wanted, registered_shape

ITEMS_MAX = 256
"""Registrations in one batch: as many as one commit takes."""
BODY_BYTES_MAX = 1024 * 1024
"""4 KiB an item; the usual registration has 300 bytes."""
AT_ONCE_MAX = 16
UPDATE_ID_MAX = NAME_MAX - len(f".{ITEMS_MAX - 1}")
"""Characters of a batch's update id, so that its items' are no longer than any other."""
_READ_AT_ONCE = 32
"""Items read before others get their turn."""


class BatchRoutes:
    """The handler of `/v1/services:batch`."""

    def __init__(
        self, context: NodeContext, instances: Instances, updates: UpdateIds, confirming: Confirming
    ) -> None:
        self._instances = instances
        self._updates = updates
        self._confirming = confirming
        self._wanted = Wanted(context, instances)
        self._me_text = id_text(context.me)
        self._under_way = 0

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The route."""
        route = Route(
            "POST", "/v1/services:batch", self.register,
            handler_s=HANDLER_S, body_bytes_max=BODY_BYTES_MAX,
        )  # fmt: skip
        return (
            Endpoint(
                route=route,
                summary="Register many instances with this node, each with its own result.",
                query=CONFIRM,
                body="Batch",
                answers={200: "A result for each item, in order.", **UNCONFIRMED},
                answer="BatchResults",
            ),
        )

    async def register(self, request: Request) -> Response:
        """`POST /v1/services:batch`."""
        request.query.check_known(*PARAMETERS)
        if self._under_way >= AT_ONCE_MAX:
            raise overloaded(f"{AT_ONCE_MAX} batches are under way; repeat this one in a moment")
        self._under_way += 1
        try:
            with self._confirming.wish(request) as wish:
                outcomes = await self._register(request)
                done = [one for one in outcomes if isinstance(one, Registered)]
                shape = {"results": [self._result(one, request.request_id) for one in outcomes]}
                newest = max((one.version for one in done), default=0)
                return await self._confirming.answer(200, shape, newest, wish if done else None)
        finally:
            self._under_way -= 1

    async def _register(self, request: Request) -> list[Registered | ApiError]:
        read = await self._read(request)
        batch = Batch(
            self._instances, self._updates, [one for one in read if not isinstance(one, ApiError)]
        )
        with trio.move_on_after(CHANGE_S):
            await batch.run()
        outcomes = iter(batch.outcomes)
        late = handler_timed_out(CHANGE_S)
        return [one if isinstance(one, ApiError) else next(outcomes) or late for one in read]

    async def _read(self, request: Request) -> list[tuple[ServiceRecord, Asked] | ApiError]:
        fields = Fields(request.json_object(), ("services", "update_id"))
        fields.require("services")
        items, update_id = fields.raw("services"), fields.text("update_id")
        if not isinstance(items, list) or not items:
            fields.refuse("services", f"must be a list of 1 to {ITEMS_MAX} registrations")
        if len(items) > ITEMS_MAX:
            raise too_large("services", f"services: has {len(items)} entries; at most {ITEMS_MAX}")
        if len(update_id) > UPDATE_ID_MAX:
            fields.refuse("update_id", f"has {len(update_id)} characters; at most {UPDATE_ID_MAX}")
        read: list[tuple[ServiceRecord, Asked] | ApiError] = []
        for number, item in enumerate(items):
            if number % _READ_AT_ONCE == _READ_AT_ONCE - 1:
                await trio.lowlevel.checkpoint()
            try:
                read.append(self._item(item, f"{update_id}.{number}" if update_id else ""))
            except ApiError as error:
                read.append(error)
        return read

    def _item(self, item: object, update_id: str) -> tuple[ServiceRecord, Asked]:
        if not isinstance(item, dict):
            raise refused("services", "each entry must be an object: {…}")
        asked = request_of(item, "register", update_id)
        return self._wanted.record(item, asked), asked

    def _result(self, outcome: Registered | ApiError, request_id: str) -> Mapping[str, object]:
        if isinstance(outcome, ApiError):
            return {"status": outcome.status, "error": outcome.shape(request_id)}
        shape = registered_shape(self._me_text, outcome)
        return {"status": 201 if outcome.created else 200, **shape}
