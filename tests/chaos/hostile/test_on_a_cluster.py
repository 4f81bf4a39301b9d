"""Hostile programs against real nodes: what they are caught at, and what they cannot do."""

import json
import urllib.request
from collections.abc import Iterator

import pytest

from chaos.cluster.client import Shape
from chaos.cluster.cluster import Ability, ClusterPlan, Member, names_of
from chaos.faults.fault import FaultError
from tests.chaos.cluster.situations import (
    PATIENCE_S,
    beliefs,
    expect_within,
    identity,
    see_each_other,
)
from tests.chaos.faults.situations import Scene, scene

HONEST = ("a", "b", "c", "d")
VILLAIN = "e"
PLAN = ClusterPlan(names=names_of(5), needs=frozenset({Ability.HOSTILE}))
AWAY = ("unreachable", "dead")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def _five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene("processes", tmp_path_factory.mktemp("five"), PLAN) as made:
        yield made


@pytest.fixture
def five(_five: Scene) -> Scene:
    """Five nodes that hold each other for alive; the fifth's keys are about to be misused."""
    _five.notes.said.clear()
    _five.notes.villains.clear()
    _five.stage.held.clear()
    expect_within(PATIENCE_S, lambda: see_each_other(_five.cluster), "all see each other")
    return _five


def proofs(member: Member, owner: str) -> int:
    """How many proofs against an owner a node keeps that anybody can check."""
    rows = member.call("GET", f"/v1/evidence?owner={owner}").rows("evidence")
    return sum(row["verified"] is True for row in rows)


def changes(member: Member, after: int) -> list[tuple[str, str]]:
    """What a node came to believe of whom, by its log from that line on."""
    lines = [json.loads(line) for line in member.log.read_text().splitlines()[after:]]
    return [
        (line["member"], line["new"]) for line in lines if line.get("event") == "member_changed"
    ]


def lines_of(scene: Scene) -> dict[str, int]:
    return {name: len(scene.member(name).log.read_text().splitlines()) for name in HONEST}


def refused(member: Member) -> float:
    """How much of what peers sent a node has refused."""
    url = f"http://{member.address}:{member.http_port}/telemetry"
    with urllib.request.urlopen(url, timeout=5.0) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("kith_refused_total{"))


def test_a_forker_is_proved_one_to_every_honest_node(five: Scene) -> None:
    owner = identity(five.member(VILLAIN))
    before = {name: proofs(five.member(name), owner) for name in HONEST}

    with five.in_force("forker", {"nodes": [VILLAIN]}):
        expect_within(
            PATIENCE_S,
            lambda: all(proofs(five.member(name), owner) > before[name] for name in HONEST),
            "all have a proof",
        )

    assert five.notes.villains == [VILLAIN]
    assert "forks" in five.notes.said[-1]
    for name in HONEST:
        for other in HONEST:
            assert proofs(five.member(name), identity(five.member(other))) == 0


def test_slander_makes_nobody_unreachable_and_does_not_last(five: Scene) -> None:
    logs = lines_of(five)

    with five.in_force("slanderer", {"nodes": [VILLAIN], "per_s": 10}):
        expect_within(
            PATIENCE_S,
            lambda: all(
                ("suspect" in [belief for _, belief in changes(five.member(name), logs[name])])
                for name in HONEST
            ),
            "it is heard by all",
        )
    expect_within(PATIENCE_S, lambda: see_each_other(five.cluster), "nothing of it stands")

    for name in HONEST:
        came = changes(five.member(name), logs[name])
        assert [change for change in came if change[1] in AWAY] == []
    assert five.notes.villains == [VILLAIN]


@pytest.mark.parametrize("stranger", [False, True])
def test_a_flood_is_refused_and_nodes_work_on(five: Scene, stranger: bool) -> None:
    before = {name: refused(five.member(name)) for name in HONEST}

    with five.in_force("flooder", {"nodes": [VILLAIN], "per_s": 400, "stranger": stranger}):
        expect_within(
            PATIENCE_S,
            lambda: all(refused(five.member(name)) > before[name] + 50 for name in HONEST),
            "all are flooded",
        )
        for name in HONEST:
            body: Shape = {"name": "shop", "id": name, "port": 80 + stranger}
            assert five.member(name).call("POST", "/v1/services", body).status in (200, 201)
            held = beliefs(five.member(name))
            assert [one for one in HONEST if held.get(one) in AWAY] == []
        assert five.notes.links_[-1] == (frozenset(), 0.0, False, True)

    assert five.notes.links_[-1] == (frozenset(), 0.0, False, False)
    assert five.notes.villains == ([] if stranger else [VILLAIN])


def test_a_program_that_cannot_work_makes_the_healing_fail(five: Scene) -> None:
    fault = five.fault("slanderer", {"nodes": [VILLAIN]})
    keys = five.member(VILLAIN).data_dir / "identity.key"
    hidden = keys.rename(keys.with_suffix(".hidden"))
    try:
        fault.inject(five.stage)
        with pytest.raises(FaultError, match=r"slanderer ended with exit code 1: .*identity\.key"):
            fault.heal(five.stage)
    finally:
        hidden.rename(keys)

    fault.heal(five.stage)
