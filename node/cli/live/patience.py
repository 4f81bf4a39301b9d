"""Coming back to a node that does not answer: later each time, and saying so."""

import time
from collections.abc import Callable
from random import Random

from node.cli.session import explained, note
from node.client import ApiError, ApiRefused

PAUSE_FIRST_S, PAUSE_MAX_S = 0.5, 30.0
_PASSING = ("shutting_down", "overloaded", "rate_limited", "internal", "timeout")
"""Refusals that do not stay."""


class Patience:
    """How long to wait before the next try, and whether to try at all."""

    def __init__(
        self, pause: Callable[[float], None] = time.sleep, rng: Random | None = None
    ) -> None:
        self._pause = pause
        self._rng = rng or Random()  # noqa: S311 - spreads clients, keeps nothing secret
        self._next_s = PAUSE_FIRST_S
        self._has_succeeded = False

    def succeeded(self) -> None:
        """The node answered: the next failure begins anew."""
        self._next_s, self._has_succeeded = PAUSE_FIRST_S, True

    def failed(self, error: ApiError | None) -> None:
        """Wait a while; `error` is None where the node ended what went well.

        Raises:
            CommandError: it failed before anything went well, or for a reason that stays.
        """
        stays = isinstance(error, ApiRefused) and error.code not in _PASSING
        if error is not None and (stays or not self._has_succeeded):
            raise explained(error)
        seconds = self._next_s * (0.5 + self._rng.random() / 2)
        reason = "the node ended the stream" if error is None else str(error)
        note(f"{reason}; trying again in {seconds:.1f} s")
        self._pause(seconds)
        self._next_s = min(PAUSE_MAX_S, self._next_s * 2)
