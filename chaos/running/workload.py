"""Clients: at each node one that writes and one that looks up, until they are told to stop.

Each write leaves its number in the instance's metadata, so a lookup shows which write it saw. A
writer writes with its own node only, under ids that nobody else uses.

Rules this module keeps:

1. What was acknowledged, what surely failed and what may be is told apart; nothing is tried again.
2. Operations are bounded: `OPERATIONS_MAX`, then the clients rest.
3. A client whose node does not answer asks it no more than a few times a second.
"""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from chaos.cluster.client import Answer, Client, NoAnswerError, Shape
from chaos.cluster.cluster import Cluster, Member
from chaos.history import Action, Key, Operation, Outcome
from chaos.scenarios.scenario import Workload

from .identities import Identities
from .journal import RunClock
from .record import Sample

OPERATIONS_MAX = 200_000
BACK_OFF_S = 0.25
JOIN_S = 30.0
NUMBER = "n"
"""The metadata that holds the number of the write."""
PORT = 10_000
_GONE = 404


@dataclass(slots=True)
class Ledger:
    """All that clients did, shared by them."""

    clock: RunClock
    identities: Identities
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    operations: list[Operation] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def number(self) -> int:
        """The next operation's."""
        with self._lock:
            return next(self.numbers)

    def keep(self, operation: Operation, sample: Sample) -> None:
        """It is over."""
        with self._lock:
            self.operations.append(operation)
            self.samples.append(sample)

    @property
    def is_full(self) -> bool:
        """Whether no more can be kept."""
        return len(self.operations) >= OPERATIONS_MAX


class Clients:
    """All clients of a run."""

    def __init__(self, cluster: Cluster, workload: Workload, ledger: Ledger, *, seed: int) -> None:
        members = list(cluster.members)
        share = 1.0 / max(len(members), 1)
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=client.run, name=f"kith-chaos-{client.name}", daemon=True)
            for index, member in enumerate(members)
            for client in (
                Writer(
                    member, workload, ledger, self._enough,
                    per_s=workload.writes_per_s * share, rng=Random(f"{seed}/w/{member.name}"),
                ),
                Looker(
                    (member, members[(index + 1) % len(members)]), workload, ledger, self._enough,
                    per_s=workload.lookups_per_s * share, rng=Random(f"{seed}/l/{member.name}"),
                ),
            )
        ]  # fmt: skip

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is under way; harmless when repeated."""
        self._enough.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(JOIN_S)


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
        if outcome is Outcome.INDEFINITE:
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
        outcome, why = asked(client, method, path, body)[1:]
        ended_s = clock.now_s()
        if action is Action.DEREGISTER and why.startswith(str(_GONE)):
            outcome = Outcome.FAILED  # an earlier write that may have been done was not
        key = Key(node, name, instance)
        operation = Operation(number, action, node, begun_s, ended_s, outcome, key)
        self._ledger.keep(operation, sample_of(operation, why))
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
                seen = shown(answer, self._ledger.identities)
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


def asked(
    client: Client, method: str, path: str, body: Shape | None
) -> tuple[Answer | None, Outcome, str]:
    """One request: its answer, how it ended, and why not well."""
    try:
        answer = client.call(method, path, body)
    except NoAnswerError as error:
        return None, Outcome.INDEFINITE, str(error)
    if answer.status in (200, 201, 204):
        return answer, Outcome.OK, ""
    said = answer.value.get("error")
    code = str(said.get("code")) if isinstance(said, dict) else ""
    # A lookup changes nothing: whatever is refused is failed.
    failed = answer.definite or method == "GET"
    return answer, Outcome.FAILED if failed else Outcome.INDEFINITE, f"{answer.status} {code}"


def shown(answer: Answer, identities: Identities) -> tuple[tuple[Key, int], ...]:
    """The instances of a lookup's answer, each with the number of the write that set it."""
    service = str(answer.value.get("service"))
    found = []
    for one in answer.rows("instances"):
        metadata = one.get("metadata")
        number = metadata.get(NUMBER) if isinstance(metadata, dict) else None
        if isinstance(number, str) and number.isdigit():
            owner = identities.name_of(str(one.get("owner")))
            found.append((Key(owner, service, str(one.get("id"))), int(number)))
    return tuple(found)


def sample_of(operation: Operation, why: str, *, begun_s: float | None = None) -> Sample:
    """What a report shows of it."""
    since_s = operation.invoked_s if begun_s is None else begun_s
    ms = round((operation.completed_s - since_s) * 1e3, 2)
    return Sample(
        round(since_s, 3), ms, operation.node, operation.action.value, operation.outcome.value, why
    )
