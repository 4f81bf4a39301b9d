"""`?confirm=N&confirm_timeout=5s`: a change is answered when N peers have it on disk.

Rules this module keeps:

1. The wish is read, and a place to wait taken, before anything is changed.
2. The change itself keeps its bound; the wait for receipts comes on top of it.
3. Receipts that do not come in time undo nothing: 202 says how many there were.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import trio

from node.delivery.confirms import CONFIRM_MAX, CONFIRM_S, CONFIRM_S_MAX, Confirms, Wish
from node.durations import DurationError, parse_s
from node.http import Request, Response, json_response
from node.http.errors import Headers, handler_timed_out

from .fields import refused
from .table import TIMEOUT, Parameter, whole

CHANGE_S = 30.0
"""A change that is not durable by then is answered 408; it may still take effect."""
HANDLER_S = CHANGE_S + CONFIRM_S_MAX
CONFIRM = (
    Parameter(
        "confirm", f"Wait until so many peers have it on disk, 0 to {CONFIRM_MAX}; 202 if not in "
        "time.", schema=whole(0, CONFIRM_MAX),
    ),
    Parameter(
        "confirm_timeout", 'How long, such as `"5s"`, which is the default; at most 60 s. Of no '
        "effect without `confirm`.",
        schema=TIMEOUT,
    ),
)  # fmt: skip
UNCONFIRMED = {202: "Done, but not confirmed in time: `confirmed` of `peers` have it on disk."}
PARAMETERS = tuple(parameter.name for parameter in CONFIRM)


class Confirming:
    """Reads the wish of a request and answers when it came true, or did not.

    Args:
        confirms: Where is waited.
    """

    def __init__(self, confirms: Confirms) -> None:
        self._confirms = confirms

    @contextmanager
    def wish(self, request: Request) -> Iterator[Wish | None]:
        """What the caller wants to wait for, and a place to do it; None: nothing.

        Raises:
            ApiError: 400 for `confirm` or `confirm_timeout`; 503 `overloaded`, too many wait.
        """
        wish = _wish_of(request)
        if wish is None:
            yield None
            return
        with self._confirms.place():
            yield wish

    async def answer(
        self,
        status: int,
        shape: Mapping[str, object],
        version: int,
        wish: Wish | None,
        headers: Headers = (),
    ) -> Response:
        """What a change came to, when it is confirmed as wished or time has run out."""
        if wish is None:
            return json_response(status, shape, headers)
        came = await self._confirms.wait(version, wish)
        shape = {**shape, "confirmed": came.receipts, "peers": came.of}
        return json_response(status if came.enough else 202, shape, headers)


@contextmanager
def in_time() -> Iterator[None]:
    """Bound a change, so that the wait after it does not lengthen it.

    Raises:
        ApiError: 408 `timeout`, it took too long.
    """
    with trio.move_on_after(CHANGE_S) as scope:
        yield
    if scope.cancelled_caught:
        raise handler_timed_out(CHANGE_S)


def _wish_of(request: Request) -> Wish | None:
    text = request.query.get("confirm_timeout")
    receipts = request.query.integer("confirm", default=0, low=0, high=CONFIRM_MAX)
    try:
        timeout_s = CONFIRM_S if text is None else parse_s(text)
    except DurationError as error:
        raise refused("confirm_timeout", f"{text!r:.40}: {error}") from None
    if timeout_s > CONFIRM_S_MAX:
        raise refused("confirm_timeout", f"is {timeout_s:g} s; at most {CONFIRM_S_MAX:g} s")
    # A time to wait for nobody is no mistake that could do harm.
    return None if request.query.get("confirm") is None else Wish(receipts, timeout_s)
