"""Clients: at each node one that writes and one that looks up, until they are told to stop.

Each write leaves its number in the instance's metadata, so a lookup shows which write it saw. A
writer writes with its own node only, under ids that nobody else uses.

Rules this module keeps:

1. What was acknowledged, what surely failed and what may be is told apart; nothing is tried again.
2. A client whose node does not answer asks it no more than a few times a second.
"""

import threading
from random import Random

from chaos.cluster.client import Client, Shape
from chaos.cluster.cluster import Cluster, Member
from chaos.history import Action, Key, Operation, Outcome
from chaos.scenarios.scenario import Workload

from .asking import NUMBER, asked, sample_of, shown
from .editing import Editor
from .ledger import Ledger
from .threads import Threads

BACK_OFF_S = 0.25
JOIN_S = 70.0
"""For the request under way; a scenario's longest time-out is a minute."""
PORT = 10_000
_GONE = 404


class Clients:
    """All clients of a run."""

    def __init__(self, cluster: Cluster, workload: Workload, ledger: Ledger, *, seed: int) -> None:
        members = list(cluster.members)
        share = 1.0 / max(len(members), 1)
        self._enough = threading.Event()
        self._written = threading.Event()
        writers = [
            Writer(
                member, workload, ledger, self._written,
                per_s=workload.writes_per_s * share, rng=Random(f"{seed}/w/{member.name}"),
            )
            for member in members
        ]  # fmt: skip
        editors = [
            Editor(member, workload, ledger, self._written, rng=Random(f"{seed}/d/{member.name}"))
            for member in members
            if workload.documents
        ]
        half = len(members) // 2
        # The second node is half-way round: neighbours in the list tend to share a zone.
        lookers = [
            Looker(
                (member, members[(index + half) % len(members)]), workload, ledger, self._enough,
                per_s=workload.lookups_per_s * share, rng=Random(f"{seed}/l/{member.name}"),
            )
            for index, member in enumerate(members)
        ]  # fmt: skip
        writing = {one.name: one.run for one in writers} | {one.name: one.run for one in editors}
        self._writing = Threads(writing, join_s=JOIN_S)
        self._looking = Threads({one.name: one.run for one in lookers}, join_s=JOIN_S)

    def start(self) -> None:
        """Begin."""
        self._writing.start()
        self._looking.start()

    def stop_writing(self) -> None:
        """Finish the writes under way, and go on looking up; harmless when repeated."""
        self._written.set()
        self._writing.join()

    def stop(self) -> None:
        """Finish what is under way; harmless when repeated."""
        self._written.set()
        self._enough.set()
        self._writing.join()
        self._looking.join()


class Writer:
    """Registers, updates and deregisters with one node."""

    def __init__(
        self,
        member: Member,
        workload: Workload,
        ledger: Ledger,
        enough: threading.Event,
        *,
        per_s: float,
        rng: Random,
    ) -> None:
        self.name = f"writer-{member.name}"
        self._member = member
        self._workload = workload
        self._ledger = ledger
        self._enough = enough
        self._per_s = per_s
        self._rng = rng
        self._held: dict[str, None] = {}
        """Ids that are registered, as far as this client knows."""
        self._made = 0

    def run(self) -> None:
        """Write until it is enough."""
        if self._per_s <= 0.0:
            return
        with self._member.client(timeout_s=self._workload.timeout_s) as client:
            for _ in range(self._workload.instances):
                if self._enough.is_set():
                    return
                self._pause(self._register(client, self._new_id()))
            while not self._enough.wait(self._rng.expovariate(self._per_s)):
                if self._ledger.is_full:
                    return
                self._pause(self._act(client))

    def _pause(self, outcome: Outcome) -> None:
        if outcome is not Outcome.OK:
            self._enough.wait(BACK_OFF_S)

    def _new_id(self) -> str:
        self._made += 1
        return f"{self._member.name}-{self._made}"

    def _act(self, client: Client) -> Outcome:
        draw = self._rng.random()
        if draw < 0.25 or not self._held:
            return self._register(client, self._new_id())
        instance = self._rng.choice(list(self._held))
        if draw < 0.75:
            return self._register(client, instance)
        return self._deregister(client, instance)

    def _service_of(self, instance: str) -> str:
        return f"shop-{int(instance.rpartition('-')[2]) % self._workload.services}"

    def _register(self, client: Client, instance: str) -> Outcome:
        number, name = self._ledger.number(), self._service_of(instance)
        action = Action.UPDATE if instance in self._held else Action.REGISTER
        body: Shape = {
            "name": name, "id": instance, "port": PORT + number % 50_000,
            "metadata": {NUMBER: str(number)},
        }  # fmt: skip
        outcome = self._write(client, number, action, name, instance, "POST", "/v1/services", body)
        if outcome is not Outcome.FAILED:
            self._held[instance] = None
        return outcome

    def _deregister(self, client: Client, instance: str) -> Outcome:
        number, name = self._ledger.number(), self._service_of(instance)
        path = f"/v1/services/{name}/{instance}"
        action = Action.DEREGISTER
        outcome = self._write(client, number, action, name, instance, "DELETE", path, None)
        if outcome is not Outcome.FAILED:
            self._held.pop(instance, None)
        return outcome

    def _write(  # noqa: PLR0913 - one request, as it is
        self,
        client: Client,
        number: int,
        action: Action,
        name: str,
        instance: str,
        method: str,
        path: str,
        body: Shape | None,
    ) -> Outcome:
        clock, node = self._ledger.clock, self._member.name
        begun_s = clock.now_s()
        answer, outcome, why = asked(client, method, path, body)
        ended_s = clock.now_s()
        if answer is not None and answer.status == _GONE:
            self._held.pop(instance, None)  # an earlier write that may have been done was not
        version = answer.value.get("version") if answer is not None else None
        operation = Operation(
            number, action, node, begun_s, ended_s, outcome, Key(node, name, instance)
        )
        known = version if outcome is Outcome.OK and isinstance(version, int) else 0
        self._ledger.keep(operation, sample_of(operation, why), known)
        return outcome


class Looker:
    """Looks up with one node; with `pairs` also with a second, where the first does not answer."""

    def __init__(
        self,
        members: tuple[Member, Member],
        workload: Workload,
        ledger: Ledger,
        enough: threading.Event,
        *,
        per_s: float,
        rng: Random,
    ) -> None:
        self.name = f"looker-{members[0].name}"
        self._members = members if workload.pairs else members[:1]
        self._workload = workload
        self._ledger = ledger
        self._enough = enough
        self._per_s = per_s
        self._rng = rng

    def run(self) -> None:
        """Look up until it is enough."""
        if self._per_s <= 0.0:
            return
        timeout_s = self._workload.timeout_s
        clients = [member.client(timeout_s=timeout_s) for member in self._members]
        try:
            while not self._enough.wait(self._rng.expovariate(self._per_s)):
                if self._ledger.is_full:
                    return
                if self._look(clients) is not Outcome.OK:
                    self._enough.wait(BACK_OFF_S)
        finally:
            for client in clients:
                client.close()

    def _look(self, clients: list[Client]) -> Outcome:
        name = f"shop-{self._rng.randrange(self._workload.services)}"
        outcome = Outcome.INDEFINITE
        whys: list[str] = []
        begun_s = self._ledger.clock.now_s()
        for member, client in zip(self._members, clients, strict=True):
            asked_s = self._ledger.clock.now_s()
            answer, outcome, why = asked(client, "GET", f"/v1/services/{name}", None)
            whys.append(f"{member.name}: {why}")
            if answer is not None and outcome is Outcome.OK:
                seen = tuple(map(self._ledger.one_of, shown(answer, self._ledger.identities)))
                self._keep(member.name, name, (asked_s, begun_s), outcome, seen, "")
                return outcome
        self._keep(self._members[0].name, name, (begun_s, begun_s), outcome, (), "; ".join(whys))
        return outcome

    def _keep(
        self,
        node: str,
        name: str,
        since_s: tuple[float, float],
        outcome: Outcome,
        seen: tuple[tuple[Key, int], ...],
        why: str,
    ) -> None:
        asked_s, begun_s = since_s
        operation = Operation(
            self._ledger.number(), Action.LOOKUP, node, asked_s, self._ledger.clock.now_s(),
            outcome, None, name, seen,
        )  # fmt: skip
        self._ledger.keep(operation, sample_of(operation, why, begun_s=begun_s))
