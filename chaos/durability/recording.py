"""A real node at work, recorded: every system call that matters, and what its clients were told.

Two lives on one directory that is empty at first: start, work, clean stop, start again, work, clean
stop. The second works four times as long, so that the log is written back amid the work as well:
SQLite does so at a thousand pages, which 300 operations in all reach. The node has a peer, which is
not recorded, so that it also pushes its commits and answers syncs. Needs strace; `why_not` says
what is missing.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chaos.cluster.processes import NodeProcess, ProcessError, free_ports, wait_until

from . import strace
from .ledger import Ledger
from .strace import Call
from .workload import Load, Worker

CLIENTS = 3
"""Few, so that there are many commits; several, so that commits hold several changes."""
WORK_S = 300.0
TRACE_S = 20.0
_TAIL_BYTES = 200


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded."""

    root: Path
    """The directory below which the node had its data; the node made all that is in it."""
    data_dir: str
    """The name of its data directory there."""
    node: str
    """The node's id."""
    calls: Sequence[Call]
    ledgers: Sequence[Ledger]
    acknowledged: int


def why_not() -> str:
    """What keeps this machine from recording; empty if nothing does."""
    return "" if shutil.which("strace") else "no strace; on Debian: apt-get install strace"


def record(directory: Path, operations: int, seed: int, options: Sequence[str] = ()) -> Recording:
    """Let a node work until so many operations were acknowledged.

    Raises:
        ProcessError: a node did not start or end, or a client met something strange.
        TraceError: what was recorded cannot be read.
    """
    homes = [directory / "traced", directory / "peer"]
    for home in homes:
        home.mkdir(parents=True)
    ports = free_ports(4)
    peer = NodeProcess("peer", homes[1], (ports[0], ports[1]))
    workers = [Worker(f"{number}", f"sweep/{seed}/{number}") for number in range(CLIENTS)]
    calls: list[Call] = []
    lines = acknowledged = 0
    node = ""
    peer.start()
    try:
        peer.wait_ready()
        for life, wanted in enumerate((operations // 5, operations - operations // 5)):
            trace = directory / f"life{life}.trace"
            traced = NodeProcess(
                "a", homes[0], (ports[2], ports[3]), seeds=[peer.gossip_port],
                options=options, wrapper=strace.command(str(trace)),
            )  # fmt: skip
            node, told = _live(traced, workers, wanted)
            acknowledged += told
            wait_until(lambda: _is_complete(trace), TRACE_S, "the trace is complete")  # noqa: B023
            text = trace.read_text("ascii").splitlines()
            calls += [
                replace(call, began=call.began + lines, ended=call.ended + lines)
                for call in strace.read(text)
            ]
            # What was open then is not open to the next life, whose numbers begin anew.
            calls.append(Call("exit_group", (), 0, lines + len(text), lines + len(text)))
            lines += len(text) + 1
            trace.unlink()
    finally:
        peer.kill()
    ledgers = [worker.ledger for worker in workers]
    return Recording(homes[0], "a", node, calls, ledgers, acknowledged)


def _live(node: NodeProcess, workers: Sequence[Worker], wanted: int) -> tuple[str, int]:
    """One life; the node's id, and how much was acknowledged. Raises ProcessError."""
    node.start()
    try:
        node.wait_ready()
        identity = str(node.call("GET", "/v1/node").value.get("id"))
        load = Load([(worker, node.port) for worker in workers])
        load.start()
        came = load.wait(wanted, WORK_S)
        acknowledged = load.stop()
        strange = [what for worker in workers for what in worker.strange]
        if strange or not came:
            raise ProcessError(f"{acknowledged} acknowledged; {strange or node.log_end()}")
        node.terminate()
    finally:
        node.kill()
    return identity, acknowledged


def _is_complete(trace: Path) -> bool:
    with trace.open("rb") as file:
        file.seek(max(trace.stat().st_size - _TAIL_BYTES, 0))
        lines = file.read().decode("ascii").splitlines()
    return bool(lines) and strace.ended(lines[-1])
