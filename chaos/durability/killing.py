"""kill -9, round after round: real nodes under load, one or all killed, restarted, and judged.

A round: sixteen clients write with one node or with all; at a moment that the seed draws, the
victim (or everybody) is killed with SIGKILL and started again, and a copy of its directory is shown
to the doctor; what was under way is asked again with the same update id, and so are some older
updates; when all hold the same again, every node is compared with the ledger. Where all are killed,
the victim is the first to die and to return, and for a while it is alone. What must hold:

1. On the victim's own disk is what was acknowledged: see `judging`. A node with peers reads itself
   back from them, so that a disk that forgets would not show otherwise.
2. Nothing acknowledged is missing on any node, and nothing deregistered is back.
3. An update id is done once: asked again, it hears the version that it was told first, and the
   instance is not written anew, whatever became of it since.
4. A version is used once: all commits after the restart are newer than all that were acknowledged.
5. Nobody holds evidence against anybody.
6. The retry queue of a victim that is alone is what was committed: see `queueing`. At the end of
   every round nothing waits on any node.

kill -9 keeps what was given to the kernel, so this judges the order of acknowledging and writing;
whether what was written is also synced is what `sweep` judges.
"""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from chaos.cluster.client import Client, NoAnswerError
from chaos.cluster.processes import NodeProcess, Nodes, ProcessError, wait_until
from protocol.commits import NOTHING

from .doctor import Found, examine
from .judging import Judge
from .ledger import SERVICE, Ledger, Operation, wrong
from .queueing import Heard, Witness, compare, forgotten, heard_by, look
from .workload import Load, Worker

NODES = 3
CLIENTS = 16
KILL_AFTER = (40, 250)
"""Acknowledgements before the kill, drawn evenly."""
KILL_DELAY_S = 0.02
"""At most so much later, so that the kill falls anywhere in the work on a commit."""
ALL_SHARE = 0.25
"""Of rounds in which all nodes are killed at once: nobody can then read itself back from a peer."""
SPREAD_SHARE = 0.5
"""Of rounds in which clients write with all nodes."""
LOAD_S = 60.0
HEAL_S = 15.0
DRAIN_S = 30.0
"""Generous: it is over in milliseconds, or after the patience of a few seconds that a start has."""
AGAIN = 3
"""Older updates that each client asks once more in a round."""


@dataclass(slots=True)
class Round:
    """One round and what was found in it."""

    number: int
    victims: str
    """The first of several was alone for a while."""
    acknowledged: int = 0
    open: int = 0
    """Operations that the kill left without an answer."""
    repeated: int = 0
    """Update ids asked once more."""
    ready_s: float = 0.0
    healed_s: float = 0.0
    drained_s: float = 0.0
    queues: int = 0
    """Peers for whom it was compared what waits."""
    waiting: int = 0
    """Commits that waited for them."""
    forgotten: int = 0
    """Peers whose own crash took what they had said to hold."""
    violations: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Crew:
    """The clients of one node, and what all of them were told."""

    node: NodeProcess
    workers: list[Worker]
    version_max: int = 0
    """The newest version that anybody was told by this node, up to the last kill."""

    @property
    def told(self) -> list[int]:
        """All versions that they were told."""
        every = (one for worker in self.workers for one in worker.ledger.every())
        return [one.version for one in every if one.acknowledged]

    @property
    def ledgers(self) -> list[Ledger]:
        """Of all of them."""
        return [worker.ledger for worker in self.workers]


class KillLoop:
    """Three nodes and their clients; `play` is one round.

    Args:
        directory: for data and logs, removed by the caller.
        seed: of everything that is drawn.
        options: more words for `kith node`.

    Raises:
        ProcessError: the nodes do not start.
    """

    def __init__(self, directory: Path, seed: int, options: tuple[str, ...] = ()) -> None:
        self._rng = Random(f"kill/{seed}")
        self._copied = directory / "copied"
        self.nodes = Nodes(NODES, directory, options=options)
        self._crews = [
            Crew(
                node, [Worker(f"{node.name}{n}", f"{seed}/{node.name}/{n}") for n in range(CLIENTS)]
            )
            for node in self.nodes.all
        ]

    def start(self) -> None:
        """Start all and wait until they are one cluster. Raises ProcessError."""
        for node in self.nodes.all:
            node.start()
        for node in self.nodes.all:
            node.wait_ready()
        self._heal()

    def play(self, number: int) -> Round:
        """One round.

        Raises:
            ProcessError: a node did not come back, or nothing was acknowledged: no verdict.
        """
        victim = self._rng.choice(self._crews)
        killed = [victim]
        if self._rng.random() < ALL_SHARE:
            killed += [crew for crew in self._crews if crew is not victim]
        busy = self._crews if self._rng.random() < SPREAD_SHARE else [victim]
        one = Round(number, "".join(crew.node.name for crew in killed))
        heard = self._load_and_kill(one, busy, killed)
        self._restart(one, killed, heard)
        for crew in busy:
            self._ask_again(one, crew)
        try:
            one.healed_s = self._heal()
            one.drained_s = wait_until(self._drained, DRAIN_S, "nothing waits in any queue")
        except ProcessError as error:
            one.violations.append(str(error))
        self._judge(one)
        return one

    def _restart(self, one: Round, killed: list[Crew], heard: dict[str, Heard]) -> None:
        """Start them and look at their disks: all at once, or one alone before the others."""
        copies = self._copies(killed)
        begun = time.perf_counter()
        first, others = killed[0], killed[1:]
        first.node.start()
        found = examine(copies)
        for crew, its in zip(killed, found, strict=True):
            said = Judge(crew.ledgers).judge(its, crew.version_max)
            one.violations += [f"on the disk of {crew.node.name}: {what}" for what in said]
        first.node.wait_ready()
        if others:
            _look_at_queue(one, killed, found, heard)
        for crew in others:
            crew.node.start()
        for crew in others:
            crew.node.wait_ready()
        one.ready_s = time.perf_counter() - begun

    def _copies(self, killed: list[Crew]) -> list[Path]:
        """What lay on the disks of the victims, before they start again."""
        shutil.rmtree(self._copied, ignore_errors=True)
        for crew in killed:
            shutil.copytree(crew.node.data_dir, self._copied / crew.node.name)
        return [self._copied / crew.node.name for crew in killed]

    def _load_and_kill(self, one: Round, busy: list[Crew], killed: list[Crew]) -> dict[str, Heard]:
        """Work, and the end of it. What the others had heard when the first was dead, by name."""
        seats = [
            (busy[n % len(busy)].workers[n], busy[n % len(busy)].node.port) for n in range(CLIENTS)
        ]
        wanted, delay_s = self._rng.randint(*KILL_AFTER), self._rng.uniform(0, KILL_DELAY_S)
        load = Load(seats)
        load.start()
        try:
            if not load.wait(wanted, LOAD_S):
                raise ProcessError(f"no {wanted} acknowledgements within {LOAD_S:g} s")
            threading.Event().wait(delay_s)
            killed[0].node.kill()
            heard = {crew.node.name: heard_by(crew.node) for crew in killed[1:]}
            for crew in killed[1:]:
                crew.node.send_kill()
            for crew in killed[1:]:
                crew.node.kill()
        finally:
            one.acknowledged = load.stop()
        for crew in self._crews:
            crew.version_max = max(crew.told, default=0)
        return heard

    def _ask_again(self, one: Round, crew: Crew) -> None:
        """What is open, until it is answered; and some of what was answered before."""
        with Client(crew.node.port) as client:
            for worker in crew.workers:
                for operation in worker.open():
                    one.open += 1
                    one.violations += self._finish(client, worker, operation, crew.version_max)
                updates = [one for one in worker.ledger.recent() if one.port and one.acknowledged]
                for operation in self._rng.sample(updates, min(AGAIN, len(updates))):
                    one.repeated += 1
                    one.violations += _repeat(client, operation)

    def _finish(
        self, client: Client, worker: Worker, operation: Operation, version_max: int
    ) -> list[str]:
        """Ask again what got no answer: it is done once, be it now or before the kill."""
        before, written_at = _shown(client, operation.instance)
        done = before == operation.port
        if done and operation.port is None:
            operation.acknowledged = True  # before the kill; to ask again would be a 404
            return []
        if not worker.ask(client, operation):
            return []  # told as strange
        name = operation.update_id
        if done and _shown(client, operation.instance) != (before, written_at):
            return [f"{name}: was on disk, and was done once more"]
        if not done and operation.version <= version_max:
            newer = f"version {operation.version}, and {version_max} was used before it"
            return [f"{name}: done after the kill in {newer}"]
        return []

    def _heal(self) -> float:
        return wait_until(self.nodes.agree, HEAL_S, "all alive and of one root")

    def _drained(self) -> bool:
        try:
            queues = [node.call("GET", "/v1/queue") for node in self.nodes.all]
        except NoAnswerError:
            return False
        return not any(queue.whole("total") for queue in queues)

    def _judge(self, one: Round) -> None:
        for crew in self._crews:
            for worker in crew.workers:
                one.violations += worker.strange
                worker.strange.clear()
        for node in self.nodes.all:
            found = shown(node)
            for crew in self._crews:
                mine = {name: port for name, (port, by) in found.items() if by == crew.node.name}
                said = wrong(crew.ledgers, mine)
                one.violations += [f"on {node.name}: {what}" for what in said]
            cases = node.call("GET", "/v1/evidence").rows("evidence")
            one.violations += [f"on {node.name}: evidence against {c.get('owner')}" for c in cases]


def _look_at_queue(
    one: Round, killed: list[Crew], found: list[Found], heard: dict[str, Heard]
) -> None:
    """Compare the queue of the first, which is alone, with its disk, its clients and its peers."""
    me, first = found[0].node, killed[0]
    peers = {
        its.node: Witness(name, heard[name].get(me, NOTHING), its.heads.get(me, NOTHING))
        for name, its in zip((crew.node.name for crew in killed[1:]), found[1:], strict=True)
    }
    alone = look(first.node)
    said = compare(found[0], alone, first.told, peers)
    one.violations += [f"in the queue of {first.node.name}: {what}" for what in said]
    one.queues += len(alone.queue)
    one.waiting += sum(shown.waiting for shown in alone.queue.values())
    one.forgotten += forgotten(found[0], peers)


def shown(node: NodeProcess) -> dict[str, tuple[int, str]]:
    """All instances that a node shows: id to port and the node it is registered with."""
    rows = node.call("GET", f"/v1/services/{SERVICE}").rows("instances")
    found: dict[str, tuple[int, str]] = {}
    for row in rows:
        port = row.get("port")
        found[str(row.get("id"))] = (port if isinstance(port, int) else 0, str(row.get("node")))
    return found


def _shown(client: Client, instance: str) -> tuple[int | None, str]:
    """Port of an instance, None if it is not there, and when it was written last."""
    answer = client.call("GET", f"/v1/services/{SERVICE}/{instance}")
    port = answer.value.get("port")
    return port if isinstance(port, int) else None, str(answer.value.get("last_updated", ""))


def _repeat(client: Client, operation: Operation) -> list[str]:
    """Ask again what was acknowledged: the same version is told, and nothing changes."""
    before = _shown(client, operation.instance)
    method, path, body = operation.request
    answer = client.call(method, path, body)
    after = _shown(client, operation.instance)
    said = []
    if answer.status not in (200, 201) or answer.whole("version") != operation.version:
        told = answer.value.get("version", answer.value)
        said.append(f"{operation.update_id}: was told {operation.version}, and asked again {told}")
    if before != after:
        said.append(f"{operation.update_id}: was done once more: {before} became {after}")
    return said


Told = Callable[[Round], None]


def play(loop: KillLoop, rounds: int, told: Told) -> list[Round]:
    """So many rounds; `told` hears of each as it ends. Raises ProcessError, NoAnswerError."""
    loop.start()
    played = []
    for number in range(1, rounds + 1):
        played.append(loop.play(number))
        told(played[-1])
    return played
