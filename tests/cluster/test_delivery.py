"""A peer that is down, and what waits for it: over kill -9 of the node that has to tell it."""

import pytest

from .situations import PATIENCE_S, Node, Shape, Town, expect_within, rows, run_kith, say, whole

pytestmark = pytest.mark.slow


def waiting_for(node: Node, peer: str) -> Shape | None:
    """The row of a peer that lacks something."""
    found = [one for one in rows(node.get("/v1/queue"), "deliveries") if one["name"] == peer]
    return found[0] if found else None


def holders(node: Node, update_id: str) -> list[str]:
    """Who has an update on disk."""
    found = rows(node.get(f"/v1/updates/{update_id}"), "holders")
    return sorted(str(one["name"]) for one in found if one["stored"] is True)


def lackers(node: Node, update_id: str) -> list[str]:
    """Who is not known to hold an update."""
    return [str(one["name"]) for one in rows(node.get(f"/v1/updates/{update_id}"), "lacking")]


def register(node: Node, number: int, query: str = "") -> Shape:
    """One registration with an update id of its own."""
    body: Shape = {"name": "web", "port": 8000 + number, "update_id": f"u-{number}"}
    answer = node.call("POST", f"/v1/services{query}", body)
    assert answer.status in (200, 201, 202), answer
    return {**answer.value, "status": answer.status}


def test_what_a_peer_misses_waits_on_disk_until_it_is_back(town: Town) -> None:
    a, _, _ = town.nodes
    made = register(a, 0, "?confirm=2&confirm_timeout=20s")
    assert (made["status"], made["confirmed"], made["peers"]) == (201, 2, 2)
    assert holders(a, "u-0") == ["b", "c"]
    expect_within(PATIENCE_S, lambda: run_kith(a, "queue").returncode == 0, "all hold all")

    town.kill(2)
    missed = [
        register(a, 1, "?confirm=2&confirm_timeout=1500ms"),
        *(register(a, n) for n in (2, 3)),
    ]
    assert (missed[0]["status"], missed[0]["confirmed"], missed[0]["peers"]) == (202, 1, 2)
    versions = [whole(one, "version") for one in missed]
    row = waiting_for(a, "c")
    assert row is not None
    assert (row["waiting"], row["oldest"], row["newest"]) == (3, versions[0], versions[-1])
    expect_within(PATIENCE_S, lambda: lackers(a, "u-3") == ["c"], "b acknowledged all")

    town.kill(0)
    town.start(0)
    row = waiting_for(a, "c")
    assert row is not None, "the queue is on disk"
    assert row["oldest"] == versions[0]
    assert whole(row, "newest") > versions[-1], "and its own record of this life waits behind"
    shown = run_kith(a, "queue")
    assert "c " in shown.stdout, shown
    assert run_kith(a, "update", "u-3").returncode == 1

    town.start(2)
    back = expect_within(PATIENCE_S, lambda: waiting_for(a, "c") is None, "it was told")
    confirmed = expect_within(PATIENCE_S, lambda: holders(a, "u-3") == ["b", "c"], "receipts")
    again = register(a, 3, "?confirm=2")
    assert (again["status"], again["version"]) == (200, versions[-1])
    assert run_kith(a, "update", "u-3").returncode == 0
    say(f"told {back:.2f} s after its return, receipts {confirmed:.2f} s later")


def test_an_update_is_done_once_though_the_node_was_killed_right_after_its_answer(
    town: Town,
) -> None:
    with town.one_more() as alone:
        alone.wait_ready()
        first: Shape = {"name": "web", "id": "web", "port": 8000, "update_id": "u-first"}
        told = alone.node.call("POST", "/v1/services", first)
        alone.kill()
        assert told.status == 201, told
        alone.child.start()
        alone.wait_ready()
        alone.node.register("web", 8001, id="web")

        again = alone.node.call("POST", "/v1/services", first)

        assert (again.status, again.value) == (200, told.value)
        found = rows(alone.node.get("/v1/services/web"), "instances")
        assert [one["port"] for one in found] == [8001], "it was not done again"
