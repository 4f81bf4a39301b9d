"""Registrations on their way to the disk: answered by whoever hears that they are on it.

    handler ──▶ begun, added here ──┬─ the commit is on disk ──▶ 201 or 200
                                    ├─ there is no room ───────▶ 503
                                    └─ `CHANGE_S` have passed ─▶ 408

No task waits for one of them: under load that would cost more than the registration itself.

Rules this module keeps:

1. Each is answered once, or given up by its client; whichever is first.
2. One task knows when the oldest has waited too long. All have the same bound, so that is the next.
3. The table holds what is under way, at most one for each connection.
"""

from collections.abc import Callable
from typing import ClassVar

import trio

from node.http import ApiError, Deferred, Response, error_response
from node.http.errors import handler_timed_out
from node.registrar import Registered


class UnderWay(Deferred):
    """One registration.

    Args:
        request_id: For what is answered if it fails.
        answer: Makes the answer of what it came to.
        end: Called once, when it needs to be answered no more.
    """

    __slots__ = ("_answer_of", "_end", "_request_id", "is_over")
    is_soon: ClassVar[bool] = True

    def __init__(
        self,
        request_id: str,
        answer: Callable[[Registered], Response],
        end: Callable[["UnderWay"], None],
    ) -> None:
        super().__init__()
        self._request_id = request_id
        self._answer_of = answer
        self._end = end
        self.is_over = False

    def told(self, outcome: Registered | ApiError) -> None:
        """It came to that."""
        if self.is_over:
            return
        self.abandon()
        if isinstance(outcome, ApiError):
            self.settle(error_response(outcome, self._request_id))
        else:
            self.settle(self._answer_of(outcome))

    def abandon(self) -> None:
        """See `Deferred`. The registration itself goes on."""
        self.is_over = True
        self._end(self)


class AllUnderWay:
    """Everything under way, oldest first; `run` ends what takes too long.

    Args:
        seconds: How long that is.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadlines: dict[UnderWay, float] = {}
        self._added = trio.Event()

    def __len__(self) -> int:
        return len(self._deadlines)

    def add(self, one: UnderWay) -> None:
        """It has begun; unless it is over already."""
        if not one.is_over:
            self._deadlines[one] = trio.current_time() + self._seconds
            if not self._added.is_set():
                self._added.set()

    def end(self, one: UnderWay) -> None:
        """It is over."""
        self._deadlines.pop(one, None)

    async def run(self) -> None:
        """Answer 408 for what takes too long, until cancelled."""
        while True:
            await self._added.wait()
            while self._deadlines:
                oldest = next(iter(self._deadlines))
                await trio.sleep_until(self._deadlines[oldest])
                if oldest in self._deadlines:
                    oldest.told(handler_timed_out(self._seconds))
            self._added = trio.Event()
