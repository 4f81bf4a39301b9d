"""A disk without room, and one that fails: what clients are told, and that nothing told is lost."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.cli.local_cluster import Child
from node.durability.examination import State, examine

from .situations import PATIENCE_S, Caller, Extra, NoAnswer, Node, Town, expect_within, rows, say

CLIENTS = 4
DISK_BYTES = 12 * 1024 * 1024
ROOM_BYTES = 1024 * 1024
"""What the ballast leaves: a second or two of registrations."""
PADDING = {f"key-{n}": "x" * 200 for n in range(20)}
"""Makes an instance some 4 KiB large, so that the disk fills soon."""
SYNCS = 60
"""Of the thread that writes, before the first that fails."""

pytestmark = pytest.mark.slow


class Clients:
    """They register one instance after the other, and remember what they were told, and when."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._enough = threading.Event()
        self.acked: dict[str, float] = {}
        """Instance's id to when its request was begun, Unix seconds."""
        self.refused: dict[str, int] = {}
        """Error code to how often it was answered."""
        self.strange: list[str] = []
        self.lookups = 0
        self._threads = [threading.Thread(target=self._register, args=(n,)) for n in range(CLIENTS)]
        self._threads.append(threading.Thread(target=self._look_up))

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _register(self, number: int) -> None:
        with Caller(self._node.port) as caller:
            for count in range(100_000):
                if self._enough.is_set():
                    return
                one = f"c{number}-{count}"
                begun = time.time_ns() / 1e9
                try:
                    answer = caller.call(
                        "POST", "/v1/services",
                        {"name": "load", "id": one, "port": 80, "metadata": dict(PADDING)},
                    )  # fmt: skip
                except NoAnswer:
                    return
                if answer.status in (200, 201):
                    self.acked[one] = begun
                elif answer.status == 503 and "retry-after" in answer.headers:
                    self.refused[answer.code] = self.refused.get(answer.code, 0) + 1
                else:
                    self.strange.append(f"{one}: {answer}")

    def _look_up(self) -> None:
        """What was acknowledged before is found, whatever the disk does."""
        with Caller(self._node.port) as caller:
            while not self._enough.is_set():
                known = set(self.acked)
                try:
                    answer = caller.call("GET", "/v1/services/load?limit=10000")
                except NoAnswer:
                    return
                ids = {one["id"] for one in rows(answer.value, "instances")}
                if not known <= ids:
                    self.strange.append(f"lookup: {len(known - ids)} missing")
                self.lookups += 1


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of its own at that place."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("NOT TESTED: a disk without room needs root, to mount a small tmpfs")
    place.mkdir()
    options = f"size={DISK_BYTES},mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "kith-test", str(place)], check=False
    )
    if mounted.returncode:
        pytest.skip("NOT TESTED: a disk without room: this machine lets nobody mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def is_full(node: Node) -> bool:
    return node.metrics()["kith_disk_full"] == 1


def missing(node: Node, clients: Clients) -> set[str]:
    return clients.acked.keys() - node.healths("load?limit=10000").keys()


def test_a_disk_without_room_refuses_changes_answers_lookups_and_recovers_by_itself(
    town: Town,
) -> None:
    with small_disk(town.cluster.directory / "full") as place, town.one_more(name="full") as one:
        one.wait_ready()
        pid = one.child.pid
        ballast = place / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(place).free - ROOM_BYTES))
        with Clients(one.node) as clients:
            expect_within(
                PATIENCE_S, lambda: clients.refused.get("disk_full", 0) > 3 * CLIENTS, "refused"
            )
            assert is_full(one.node)
            readiness = one.node.call("GET", "/readyz")
            assert readiness.status == 200
            assert "no room on the disk" in str(readiness.value["components"])
            before, looked = len(clients.acked), clients.lookups
            expect_within(PATIENCE_S, lambda: clients.lookups > looked + 5, "lookups go on")

            ballast.unlink()
            freed = expect_within(
                PATIENCE_S, lambda: len(clients.acked) > before + 20, "registrations go on"
            )
        expect_within(PATIENCE_S, lambda: not is_full(one.node), "not full any more")
        assert clients.strange == []
        assert set(clients.refused) <= {"disk_full", "overloaded"}
        assert one.child.pid == pid

        one.kill()
        found = examine(one.data_dir)
        assert (found.state, found.problems) == (State.RECOVERED, [])
        assert clients.acked.keys() <= {service.id for service in found.services()}
        one.child.start()
        one.wait_ready()
        assert missing(one.node, clients) == set()
        one.kill()
    say(
        f"full disk: {before} acknowledged before, {sum(clients.refused.values())} refused, "
        f"{len(clients.acked)} in all after {freed:.2f} s with room; none missing"
    )


def with_failing_syncs(one: Extra, trace: Path) -> None:
    """The same node, whose syncs fail for good after some time."""
    may_trace = ["strace", "-o", os.devnull, "true"]
    if shutil.which("strace") is None or subprocess.run(may_trace, check=False).returncode:
        pytest.skip("NOT TESTED: a disk that fails: strace is missing, or may trace nothing here")
    injected = f"inject=fdatasync,fsync:error=EIO:when={SYNCS}+"
    words = ["strace", "-f", "-qq", "-ttt", "-o", str(trace)]
    words += ["-e", "trace=fsync,fdatasync", "-e", injected]
    one.child = Child(one.node.name, [*words, *one.child._command], one.child.log)


def failed_at(trace: Path) -> float:
    """When the first sync failed, Unix seconds."""
    lines = (line.split() for line in trace.read_text().splitlines() if "(INJECTED)" in line)
    return float(next(lines)[1])


def test_a_sync_that_fails_ends_the_node_with_one_line_and_nothing_acknowledged_is_lost(
    town: Town,
) -> None:
    with town.one_more() as one:
        one.wait_ready()
        one.kill()
        plain, trace = one.child, one.data_dir.with_suffix(".trace")
        with_failing_syncs(one, trace)
        one.child.start()
        one.wait_ready()
        with Clients(one.node) as clients:
            expect_within(PATIENCE_S, lambda: one.child.fallen, "ended")

        fallen = one.child.fallen
        assert fallen is not None
        assert fallen.exit_code == 1
        (said,) = one.node.events("storage_failed")
        assert "the disk failed" in str(said["reason"])
        assert "SQLITE_IOERR" in str(said["reason"])
        assert clients.acked
        late = [name for name, begun in clients.acked.items() if begun > failed_at(trace)]
        assert late == []

        one.child = plain
        one.child.start()
        one.wait_ready()
        assert missing(one.node, clients) == set()
        assert set(clients.refused) <= {"disk_full", "overloaded", "shutting_down", "unavailable"}
        say(f"failed sync: {len(clients.acked)} acknowledged before it, none after, none missing")
