"""The kinds of clusters there are, and how one is made, run and surely ended.

Rules this module keeps:

1. Nothing is started here but by `running`.
2. Whoever leaves `running`, by the end, an error, Ctrl-C, SIGTERM or a hang-up, leaves nothing
   behind; while it is being removed, further signals wait.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from .attached import ATTACH, attach
from .cluster import Cluster, ClusterError, ClusterPlan
from .composed import COMPOSE, ComposeCluster
from .local import NAMESPACES, PROCESSES, LocalCluster

KINDS: Mapping[str, str] = {
    PROCESSES: "a process each on this machine's loopback: no root, no links to cut",
    NAMESPACES: "a process each in a network of its own: all faults; needs root",
    COMPOSE: "a container each, five to ten, by docker-compose.yml; needs Docker and the image",
    ATTACH: "a cluster that runs already: `make up`, or nodes by URL (KITH_CHAOS_ATTACH)",
}
_MAKERS: Mapping[str, Callable[[ClusterPlan, Path], Cluster]] = {
    PROCESSES: partial(LocalCluster, PROCESSES),
    NAMESPACES: partial(LocalCluster, NAMESPACES),
    COMPOSE: ComposeCluster,
    ATTACH: attach,
}
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_HELD = (signal.SIGINT, *_ENDING)


def make_cluster(kind: str, plan: ClusterPlan, directory: Path) -> Cluster:
    """A cluster that is not started yet.

    Args:
        kind: one of `KINDS`.
        plan: what is to be made.
        directory: for logs, data and what else there is; made if it is not there.

    Raises:
        ClusterError: there is no such kind, or it cannot be had by such a plan.
    """
    if kind not in _MAKERS:
        raise ClusterError(
            f"--cluster {kind}: there is no such kind; use one of {', '.join(KINDS)}"
        )
    return _MAKERS[kind](plan, directory)


@contextmanager
def running(cluster: Cluster) -> Iterator[Cluster]:
    """Start a cluster, and close it in whatever way this is left.

    Raises:
        ClusterError: it could not be started, or something of it is left.
        SystemExit: SIGTERM or SIGHUP came, after it was closed; 128 and the signal's number.
    """
    with _signals(_ENDING, _exit):
        try:
            cluster.start()
            yield cluster
        finally:
            with _held_back():
                cluster.close()


@contextmanager
def _held_back() -> Iterator[None]:
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    with _signals(_HELD, note):
        yield
    if came:
        signal.raise_signal(came[0])


Handler = Callable[[int, FrameType | None], None]


@contextmanager
def _signals(numbers: tuple[signal.Signals, ...], handler: Handler) -> Iterator[None]:
    """Handle these so; in other threads than the first, which no signal interrupts, nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old or signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
