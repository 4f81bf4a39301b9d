"""A real network is cut in two, both sides live on, and become one again."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from node.client import Json

from .ledger import SERVICE, Change, Ledger, shown
from .network import Country, open_country
from .situations import LARGE, PATIENCE_S, Node, Shape, expect_within, rows, say

SPLIT_S = 30.0 if LARGE else 5.0
EVEN_SIZES = (2, 4, 8) if LARGE else (2, 4)
HEALED_S = 10.0
"""More than the promised 3 s, so that a busy machine fails no test; the figures are printed."""
QUIET_S = 2.0
"""After healing, how long is looked for what may come back."""

DOCUMENT = "settings"

Sides = Sequence[Sequence[int]]

pytestmark = pytest.mark.slow


def expect_sides(country: Country, *named: str) -> float:
    """Wait until each node names its side so."""
    return expect_within(PATIENCE_S, lambda: country.sides() == list(named), f"sides {named}")


def shows(node: Node, owners: Sequence[str], held: dict[str, int]) -> bool:
    """Whether a node shows exactly this of these owners' instances."""
    return held == {n: port for n, port in shown(node).items() if n.partition("-")[0] in owners}


def expect_answers(country: Country, sides: Sides, seconds: float) -> None:
    """For so long each node answers that its own side's instances pass, and no others."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for side in sides:
            for index in side:
                healths = country.nodes[index].healths(SERVICE)
                passing = {name.partition("-")[0] for name, h in healths.items() if h == "passing"}
                others = {name.partition("-")[0] for name, h in healths.items() if h == "critical"}
                assert passing <= set(country.names(side)), healths
                assert others.isdisjoint(country.names(side)), healths


def expect_news_within_sides(country: Country, ledger: Ledger, sides: Sides) -> None:
    """What was written on a side since is known to all of it, and to nobody else."""
    for side in sides:
        held = {n: p for index in side for n, p in ledger.clients[index].held.items()}
        owners = country.names(side)
        for index, node in enumerate(country.nodes):
            if index in side:
                expect_within(PATIENCE_S, partial(shows, node, owners, held), node.name)
            else:
                assert not shows(node, owners, held)


def expect_nothing_else(country: Country, held: dict[str, int]) -> None:
    """Every node shows exactly this, now and for a while."""
    end = time.perf_counter() + QUIET_S
    while time.perf_counter() < end:
        for node in country.nodes:
            assert shown(node) == held, node.name


def edit(node: Node, **fields: Json) -> None:
    """Change fields of the document through a node."""
    answer = node.call("PATCH", f"/v1/documents/{DOCUMENT}", {"value": fields})
    assert answer.status in (200, 201), answer


def document_of(node: Node) -> Shape:
    """The document as a node shows it."""
    return node.get(f"/v1/documents/{DOCUMENT}")


def has_value(node: Node, value: Shape) -> bool:
    """Whether the document is this, as a node shows it."""
    return document_of(node)["value"] == value


def siblings(node: Node) -> dict[str, dict[str, Json]]:
    """Of each field in conflict: who wrote which value."""
    held = rows(node.get("/v1/conflicts"), "documents")
    fields = [field for one in held if one["key"] == DOCUMENT for field in rows(one, "conflicts")]
    return {
        str(field["field"]): {str(one["node"]): one["value"] for one in rows(field, "siblings")}
        for field in fields
    }


def expect_conflict_shown_and_settled(country: Country) -> None:
    """Both words on one field stand on every node, other fields merged; a later write ends it."""
    nodes = country.nodes
    for node in nodes:
        assert siblings(node) == {"colour": {"a": "blue", "e": "green"}}, node.name
        value = document_of(node)["value"]
        assert isinstance(value, dict)
        assert value["colour"] in ("blue", "green")
        assert {**value, "colour": ""} == {"colour": "", "size": 1, "left": True, "right": True}
    assert len({str(document_of(node)["value"]) for node in nodes}) == 1

    edit(nodes[2], colour="grey")
    settled: Shape = {"colour": "grey", "size": 1, "left": True, "right": True}
    for node in nodes:
        expect_within(PATIENCE_S, partial(has_value, node, settled), node.name)
        assert siblings(node) == {}


def expect_report(node: Node, side: Sequence[str], happened: Sequence[Change]) -> Shape:
    """The one report of a node names exactly what happened; it is returned."""
    expect_within(PATIENCE_S, lambda: not reports(node)[0]["open"], "the report is closed")
    (report,) = reports(node)
    named = sorted(
        (str(one["node"]), str(one["kind"]), str(one["key"]), str(one["side"]), str(one["change"]))
        for one in rows(report, "diverged")
    )
    wanted = sorted(
        (one.node, one.kind, one.key, "here" if one.node in side else "there", one.change)
        for one in happened
    )
    assert named == wanted, node.name
    assert report["exact"], node.name
    assert not report["truncated"]
    assert {str(one["name"]) for one in rows(report, "cut_off")}.isdisjoint(side)
    return report


def reports(node: Node) -> list[Shape]:
    """What partitions did, as a node tells it."""
    return rows(node.get("/v1/partitions"), "partitions")


def test_both_sides_of_a_split_live_on_and_become_one_again(tmp_path: Path) -> None:
    sides = ours, theirs = (0, 1, 2), (3, 4)
    with open_country(5, tmp_path) as country:
        ledger = Ledger(country.nodes, seed=1)
        ledger.each(lambda client: client.prepare())
        edit(country.nodes[0], colour="red", size=1)
        country.settle()
        before = ledger.state()

        country.cut(*sides)
        with ledger.writing():
            edit(country.nodes[0], colour="blue", left=True)
            edit(country.nodes[4], colour="green", right=True)
            noticed = country.expect_apart(*sides)
            expect_sides(country, *["majority"] * 3, *["minority"] * 2)
            expect_answers(country, sides, SPLIT_S - noticed)
        expect_news_within_sides(country, ledger, sides)
        country.heal()
        equal = expect_within(HEALED_S, country.is_of_one_mind, "equal roots")
        country.settle()

        expect_sides(country, *["none"] * 5)
        contacts = country.contacts_s(ours, theirs)
        happened = [
            *ledger.changes_since(before),
            Change("a", "document", DOCUMENT, "changed"),
            Change("e", "document", DOCUMENT, "added"),
        ]
        for side in sides:
            for index in side:
                expect_report(country.nodes[index], country.names(side), happened)
        expect_conflict_shown_and_settled(country)
        expect_nothing_else(country, ledger.held())

    say(f"split 3/2 for {SPLIT_S:.0f} s, {ledger.writes()} writes; seen by all in {noticed:.2f} s")
    say(f"contact after the link's return: {min(contacts):.2f} s, all pairs {max(contacts):.2f} s")
    say(f"all roots equal {equal:.2f} s after it")
    say(f"{len(happened)} records diverged; each node's report names exactly these")


@pytest.mark.parametrize("count", EVEN_SIZES)
def test_an_even_split_leaves_no_majority_and_both_sides_go_on(tmp_path: Path, count: int) -> None:
    half = count // 2
    sides = tuple(range(half)), tuple(range(half, count))
    with open_country(count, tmp_path) as country:
        ledger = Ledger(country.nodes, seed=2)
        ledger.each(lambda client: client.prepare())
        country.settle()

        country.cut(*sides)
        with ledger.writing():
            noticed = country.expect_apart(*sides)
            expect_sides(country, *["even"] * count)
            for node in country.nodes:
                owned: Shape = {"value": {}, "owners": ["self"]}
                refused = node.call("PUT", f"/v1/documents/{DOCUMENT}", owned)
                assert (refused.status, refused.code) == (503, "minority"), refused
            expect_answers(country, sides, 1.0)
        expect_news_within_sides(country, ledger, sides)
        country.heal()
        equal = expect_within(HEALED_S, country.is_of_one_mind, "equal roots")
        country.settle()

        expect_nothing_else(country, ledger.held())

    say(f"split {half}/{half}: seen by all in {noticed:.2f} s, even on each")
    say(f"all roots equal {equal:.2f} s after the link's return")
