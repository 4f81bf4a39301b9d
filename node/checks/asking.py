"""Asking a service over HTTP how it is: what comes of it, and the client, loaded when needed.

Rules this module keeps:

1. A node that probes nothing over HTTP does not carry an HTTP client: httpx and what it brings are
   5 MB of memory, and a tenth of the time that a node takes to start.
2. Loading it blocks no other task, and is not on the time of the probe that needs it first.
"""

from dataclasses import dataclass
from typing import Protocol

import trio

from node.imports import without


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What a probed service said: HTTP status and the start of the body."""

    status: int
    body: bytes


class ProbeFailed(Exception):  # noqa: N818 - reads as what happened
    """The service gave no usable answer; `reason` is a short sentence for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HttpProber(Protocol):
    """Asks one URL once, as `node.client.HttpProber` does."""

    async def ready(self) -> None:
        """Prepare for asking; what this takes is not the instance's fault."""
        ...

    async def get(self, url: str, timeout_s: float) -> ProbeAnswer:
        """Fetch `url` without following redirects.

        Raises:
            ProbeFailed: no answer; the instance is to blame.
        """
        ...


class LateProber:
    """`node.client.HttpProber`, loaded by the first probe."""

    def __init__(self) -> None:
        self._prober: HttpProber | None = None

    async def ready(self) -> None:
        """See `HttpProber`."""
        if self._prober is None:
            # Two first probes may both load it: the import system has the second wait.
            self._prober = await trio.to_thread.run_sync(_load)

    async def get(self, url: str, timeout_s: float) -> ProbeAnswer:
        """See `HttpProber`."""
        await self.ready()
        assert self._prober is not None
        return await self._prober.get(url, timeout_s)


def _load() -> HttpProber:
    # Not at the top: rule 1. httpx takes click, pygments and rich for a command of its own.
    with without("click", "pygments", "rich"):
        from node.client import HttpProber as Client  # noqa: PLC0415

    return Client()
