"""The updates that are made: registrations, and changes of what was registered before."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.cluster.fleet import BenchError
from chaos.cluster.client import HOST, Client, NoAnswerError, Shape

from .applied import SHORT_ID, Owned
from .town import Town

NAMES = 10
"""So many services; instances go to them in turn."""
CHANGES_EVERY = 3
"""Of so many updates one changes an instance that is there."""
METADATA: Shape = {"build": "2026-02-11T08:30:00Z", "commit": "9f2c41d7e0b85a63", "team": "shop"}


@dataclass(frozen=True, slots=True)
class Update:
    """One that was acknowledged."""

    update_id: str
    node: int
    """With which it was made."""
    service: str
    instance: str
    commit: Owned
    asked_ns: int
    answered_ns: int
    status: int


def make(client: Client, node: int, number: int, apart: int, query: str = "") -> Update:
    """Make one update: a registration, or a change of an instance that this node had `apart` ago.

    Raises:
        BenchError: it was not acknowledged.
    """
    root = _instance_of(number, apart)
    service, instance, update_id = f"bench-{root % NAMES}", f"i-{root}", f"u-{number}"
    body: Shape = {
        "name": service, "id": instance, "address": HOST, "port": 10_000 + root % 50_000,
        "tags": ["bench"], "metadata": {**METADATA, "update": update_id}, "update_id": update_id,
    }  # fmt: skip
    asked_ns = time.monotonic_ns()
    try:
        answer = client.call("POST", f"/v1/services{query}", body)
    except NoAnswerError as error:
        raise BenchError(str(error)) from None
    answered_ns = time.monotonic_ns()
    if answer.status not in (200, 201, 202):
        raise BenchError(f"refused: {answer.value}")
    commit = str(answer.value["owner"])[:SHORT_ID], answer.whole("version")
    return Update(
        update_id, node, service, instance, commit, asked_ns, answered_ns, answer.status
    )  # fmt: skip


def missing(town: Town, index: int, updates: Iterable[Update]) -> list[str]:
    """Of these updates, in their order, those that the node does not show.

    An instance shows the last of its updates, which were made one after the other.
    """
    last = {(one.service, one.instance): one.update_id for one in updates}
    shown: dict[tuple[str, str], str] = {}
    for service in dict.fromkeys(service for service, _ in last):
        for one in town.ask(index, f"/v1/services/{service}").rows("instances"):
            metadata = one["metadata"]
            assert isinstance(metadata, dict)
            shown[service, str(one["id"])] = str(metadata.get("update"))
    return [update for key, update in last.items() if shown.get(key) != update]


def unconfirmed(town: Town, updates: Iterable[Update], peers: int) -> list[str]:
    """Those updates for which not so many peers have given their receipt."""
    found = []
    for one in updates:
        holders = town.ask(one.node, f"/v1/updates/{one.update_id}").rows("holders")
        if sum(holder["stored"] is True for holder in holders) != peers:
            found.append(one.update_id)
    return found


def _instance_of(number: int, apart: int) -> int:
    while number % CHANGES_EVERY == CHANGES_EVERY - 1 and number >= apart:
        number -= apart
    return number
