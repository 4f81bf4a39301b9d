"""A good client beside the attackers, what it waits, and what the node weighs.

Most of its lookups go over one kept connection; some over a new one, since that is what an attack
on connections denies.
"""

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from .scripts import ATTACKS

PATH = "/v1/services/web"
PAUSE_S = 0.004
NEW_CONNECTION_EVERY = 10
LOOKUPS_MIN = 50
ANSWER_S = 30.0
END_S = 60.0


@dataclass(slots=True)
class Waits:
    """What a good client saw."""

    kept_s: list[float] = field(default_factory=list)
    """Of lookups over one connection."""
    new_s: list[float] = field(default_factory=list)
    """Of lookups over a new one, connecting included."""
    failures: list[str] = field(default_factory=list)
    """Lookups that were not answered 200."""


def look_up(port: int, seconds: float) -> Waits:
    """Look up again and again, also on a slow machine `LOOKUPS_MIN` times."""
    waits = Waits()
    kept = _connect(port)
    if said := _ask(kept):  # connects; how long that takes is measured by the new ones
        waits.failures.append(f"first connection: {said}")
    until = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < until or count < LOOKUPS_MIN:
        count += 1
        is_new = count % NEW_CONNECTION_EVERY == 0
        begun = time.perf_counter()
        connection = _connect(port) if is_new else kept
        said = _ask(connection)
        (waits.new_s if is_new else waits.kept_s).append(time.perf_counter() - begun)
        if said:
            waits.failures.append(f"{'new' if is_new else 'kept'} connection: {said}")
            connection.close()
            kept = kept if is_new else _connect(port)
        if is_new:
            connection.close()
        time.sleep(PAUSE_S)
    kept.close()
    return waits


def resident_bytes(pid: int) -> int:
    """What a process has in memory."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1_024
    raise ValueError(f"process {pid} has no memory")


class Attacker:
    """An attack under way, in a process of its own; what became of it is known after `end`."""

    def __init__(self, name: str, host: str, port: int) -> None:
        command = [sys.executable, "-m", "benchmarks.attacks.attacker", name, host, str(port)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        self.skipped = ""
        self.opened = 0
        self.statuses: dict[int, int] = {}
        """Last words of connections that were ended, and how many; 0: none."""
        said = self._said()
        if said.strip() != "ready":
            self.skipped = said.strip() or "the attacker ended"

    def end(self) -> None:
        """End it; `outcome` says what became of its connections."""
        try:
            rest, _ = self._process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        if rest and not self.skipped:
            outcome = orjson.loads(rest.splitlines()[-1])
            self.opened = outcome["opened"]
            self.statuses = {int(status): count for status, count in outcome["statuses"].items()}

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def under_attack(name: str, host: str, *, http_port: int, gossip_port: int) -> Iterator[Attacker]:
    """All its connections are open when this begins, and ended when it ends."""
    port = gossip_port if ATTACKS[name].at_gossip else http_port
    attacker = Attacker(name, host, port)
    try:
        yield attacker
    finally:
        attacker.end()


def _connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)


def _ask(connection: http.client.HTTPConnection) -> str:
    """Nothing, or what was wrong with the answer."""
    try:
        connection.request("GET", PATH)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    return "" if answer.status == 200 else f"{answer.status} {body[:200]!r}"
