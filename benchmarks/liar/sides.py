"""The two clusters: who is lied about, who lies, how a look is taken, and how the lie is told.

What differs from one side to the other, and whom it favours:

1. Serf has a message that makes a member dead at once, whoever sends it. Kith has no such message:
   the most that one member can say is a vote, so that is what our liar says. It is signed with the
   member's own key, without which nobody would read it. Each liar does the worst that its protocol
   gives to one member; the lie `suspect` is the one that both protocols have.
2. The liar's number rises with each accusation, on both sides, so that refutations void none of
   them in advance.
3. The liar's own agent or node runs on and knows nothing of the lie.
4. `alive` and `suspect` count as there, on both sides; Serf does not show `suspect` at all. A
   member that is `unreachable`, `dead`, `failed`, `left` or not in the list counts as gone.
"""

import base64
import http.client
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.cluster.fleet import BenchError, Fleet
from benchmarks.cluster.kith import KithSide
from benchmarks.cluster.serf import Message, Rpc, SerfSide
from node.cli.local_cluster import HOST, ROOT

from . import memberlist
from .attacks import STEP, Attack, Pace
from .logs import THERE, Logged, kith_logged, serf_logged
from .samples import Seen
from .watching import Look

ACCUSED = 0
"""Which process is lied about. The last one lies; all others are honest, and are watched."""
SERVICE = "accused-service"
PORT = 8_000
TIMEOUT_S = 5.0
ANSWERS = (http.HTTPStatus.OK, http.HTTPStatus.CREATED, http.HTTPStatus.NOT_FOUND)
PROGRAM_SLACK_S = 30.0
"""A hostile program may take so much longer than its attack: to start, and to meet everybody."""
ONCE_FOR_S = 0.5
GREATEST_COUNTER = 2**32
"""So far ahead of what it knows a node believes a vote (docs/PROTOCOL.md)."""


class Side(Protocol):
    """A cluster of one kind, whose last member lies about the first."""

    name: str
    fleet: Fleet

    def prepare(self) -> None:
        """All see all: what is to be there before the lie. Raises BenchError."""

    def look_at(self, index: int) -> Look:
        """How one member is asked."""

    def logged(self) -> Logged:
        """What the logs say since the processes were started."""

    def lie(self, attack: Attack, pace: Pace) -> int:
        """Do it, and come back when it is done; how many accusations were made.

        Raises:
            BenchError: it cannot be done.
        """


def honest(nodes: int) -> range:
    """Those that are neither lied about nor lie."""
    return range(ACCUSED + 1, nodes - 1)


def told(attack: Attack, nodes: int) -> list[int]:
    """Who hears the accusations from the liar itself."""
    return [*([ACCUSED] if attack.to_accused else []), *honest(nodes)]


class SerfTown:
    """Serf agents; the liar's program speaks memberlist's protocol for the last of them."""

    name = "serf"

    def __init__(self, nodes: int, directory: Path, *, keyring: bool = False) -> None:
        self._directory = directory
        self._key = secrets.token_bytes(memberlist.KEY_BYTES) if keyring else None
        shared = [] if self._key is None else [f"-encrypt={base64.b64encode(self._key).decode()}"]
        # So that its answer to its own master needs no decompression.
        words = {nodes - 1: ["-disable-compression", *shared]}
        self._side = SerfSide(nodes, directory, words=dict.fromkeys(range(nodes), shared) | words)
        self.fleet = self._side.fleet

    def prepare(self) -> None:
        """See `Side`. Nothing is registered with Serf."""

    def look_at(self, index: int) -> Look:
        """See `Side`."""
        return _SerfLook(self._side.rpc_ports[index], self.fleet.names[ACCUSED])

    def logged(self) -> Logged:
        """See `Side`."""
        accused, *honest_ones = _lines(self._directory, len(self.fleet))
        return serf_logged(honest_ones, self.fleet.names[ACCUSED], accused)

    def lie(self, attack: Attack, pace: Pace) -> int:
        """See `Side`."""
        return self.lie_with(attack, pace, self._key)

    def lie_with(self, attack: Attack, pace: Pace, key: bytes | None) -> int:
        """The same with another key than the cluster's, or with none."""
        names, ports = self.fleet.names, self._side.ports
        kind = memberlist.SUSPECT if attack.suspects else memberlist.DEAD
        number = memberlist.ask_incarnations(ports[-1], self._key)[names[ACCUSED]]
        if attack.greatest:
            number = memberlist.INCARNATION_MAX
        count = max(1, round(pace.per_s * pace.for_s)) if attack.repeated else 1
        begun_s = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for turn in range(count):
                time.sleep(max(0.0, begun_s + turn / pace.per_s - time.monotonic()))
                said = memberlist.accusation(kind, names[ACCUSED], number, names[-1])
                for index in told(attack, len(names)):
                    sealed = said if key is None else memberlist.seal(key, said)
                    udp.sendto(sealed, (HOST, ports[index]))
                number += STEP
        return count


class KithTown:
    """Kith nodes; the liar's program has the keys of the last of them (`chaos.hostile`)."""

    name = "kith"

    def __init__(self, nodes: int, directory: Path) -> None:
        self._directory = directory
        self._side = KithSide(nodes, directory)
        self.fleet = self._side.fleet

    def prepare(self) -> None:
        """See `Side`. A service is registered with the accused."""
        body: dict[str, object] = {"name": SERVICE, "port": PORT}
        said = self._ask(ACCUSED, "POST", "/v1/services", body)
        version, others = said.get("version"), len(self.fleet) - 1
        if not isinstance(version, int):
            raise BenchError(f"the accused node refused the registration: {said!r}")
        if not self.fleet.wait(
            lambda: len(self.fleet.applied_ns(ACCUSED, version)) == others, TIMEOUT_S
        ):
            raise BenchError(f"the registration was not everywhere in {TIMEOUT_S:.0f} s")

    def look_at(self, index: int) -> Look:
        """See `Side`."""
        accused = str(self._ask(ACCUSED, "GET", "/v1/node").get("id"))
        return _KithLook(self._side.http_ports[index], accused)

    def logged(self) -> Logged:
        """See `Side`."""
        _, *honest_ones = _lines(self._directory, len(self.fleet))
        return kith_logged(honest_ones, self.fleet.names[ACCUSED])

    def lie(self, attack: Attack, pace: Pace) -> int:
        """See `Side`."""
        nodes = len(self.fleet)
        per_s, for_s = (pace.per_s, pace.for_s) if attack.repeated else (1.0, ONCE_FOR_S)
        ports = self._side.ports
        targets = [f"{HOST}:{ports[index]}" for index in told(attack, nodes)]
        words = [
            *("--key-dir", str(self._directory / f"n{nodes - 1}")),
            *("--per-s", str(per_s), "--for-s", str(for_s), "--seed", "1"),
            *("--accuse", f"{HOST}:{ports[ACCUSED]}"),
            *(word for one in targets for word in ("--target", one)),
        ]
        if attack.greatest:
            words += ["--ahead", str(GREATEST_COUNTER)]
        return _slander(words, for_s)

    def _ask(
        self, index: int, method: str, path: str, body: dict[str, object] | None = None
    ) -> dict[str, object]:
        port = self._side.http_ports[index]
        connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
        try:
            return _ask(connection, method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise BenchError(f"node {index} does not answer: {error!r}") from None
        finally:
            connection.close()


def _lines(directory: Path, nodes: int) -> list[list[bytes]]:
    """The logs of the accused and of the honest members; lines half written are left out."""
    logs = [directory / f"n{index}.log" for index in (ACCUSED, *honest(nodes))]
    return [log.read_bytes().split(b"\n")[:-1] for log in logs]


def _slander(words: Sequence[str], for_s: float) -> int:
    """Run the program to its end; how many accusations it made."""
    # Its standard input stays open: when it ends, the program does.
    with subprocess.Popen(
        [sys.executable, "-m", "chaos.hostile", "slanderer", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
        start_new_session=True, text=True,
    ) as program:  # fmt: skip
        try:
            program.wait(for_s + PROGRAM_SLACK_S)
            said, wrong = program.communicate()
        except subprocess.TimeoutExpired:
            raise BenchError("the slanderer did not end in time") from None
        finally:
            program.kill()
    if program.returncode:
        raise BenchError(f"the slanderer ended with {program.returncode}: {wrong.strip()[-300:]}")
    return int(json.loads(said)["batches_count"])


class _SerfLook:
    def __init__(self, port: int, accused: str) -> None:
        self._port = port
        self._accused = accused
        self._rpc: Rpc | None = None

    def see(self) -> Seen:
        at_s = time.monotonic()
        if self._rpc is None:
            self._rpc = Rpc(self._port)
        return serf_saw(self._rpc.ask("members", parts=2), self._accused, at_s)

    def close(self) -> None:
        if self._rpc is not None:
            self._rpc.close()
            self._rpc = None


class _KithLook:
    def __init__(self, port: int, accused: str) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
        self._accused = accused

    def see(self) -> Seen:
        at_s = time.monotonic()
        member = _ask(self._connection, "GET", f"/v1/peers/{self._accused}")
        found = _ask(self._connection, "GET", f"/v1/services/{SERVICE}?health=passing")
        return kith_saw(member, found, self._accused, at_s)

    def close(self) -> None:
        self._connection.close()


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: dict[str, object] | None = None,
) -> dict[str, object]:
    """An object; that of an error if something is not found. Raises BenchError."""
    connection.request(
        method, path, None if body is None else json.dumps(body),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    answer = connection.getresponse()
    value = json.loads(answer.read())
    if not isinstance(value, dict) or answer.status not in ANSWERS:
        raise BenchError(f"{path}: {answer.status}, {value!r}")
    return value


def serf_saw(answer: Message, accused: str, at_s: float) -> Seen:
    """What an agent's list of members says of one."""
    members = answer.get(b"Members")
    for one in members if isinstance(members, list) else []:
        if isinstance(one, dict) and one.get(b"Name") == accused.encode():
            status = bytes(one[b"Status"]).decode()
            return Seen(at_s, status, gone=status not in THERE)
    return Seen(at_s, "unknown", gone=True)


def kith_saw(
    member: dict[str, object], found: dict[str, object], accused: str, at_s: float
) -> Seen:
    """What a node says of a member and of its service."""
    status, instances = str(member.get("status", "unknown")), found.get("instances")
    rows = instances if isinstance(instances, list) else []
    return Seen(
        at_s,
        status,
        gone=status not in THERE,
        listed=any(isinstance(one, dict) and one.get("owner") == accused for one in rows),
    )
