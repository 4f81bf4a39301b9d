"""What waits after a start, and a sentence for each way in which that is not what was committed."""

from dataclasses import replace

from chaos.durability.doctor import Found, Waiting
from chaos.durability.queueing import Alone, Shown, Witness, compare, forgotten
from protocol.commits import NOTHING, Dot

TOLD = [10, 11, 12, 13]
"""What clients were told; each in a commit of its own, after the first record in version 9."""
LIFE = 20
"""The version of the record that the start commits."""
FOUND = Found(
    "good",
    node="a",
    own=Dot(0, 13),
    outbox=5,
    queue={"b": Waiting(Dot(0, 11), Dot(0, 10), 2), "c": Waiting(Dot(0, 13), Dot(0, 13), 0)},
)
ALONE = Alone(
    {"b": Shown(3, 12, LIFE), "c": Shown(1, LIFE, LIFE)}, {LIFE: ["node"], 13: ["service"]}
)
PEERS = {"b": Witness("B", Dot(0, 12), Dot(0, 10)), "c": Witness("C", Dot(0, 13), Dot(0, 13))}


def queued(**rows: Waiting) -> Found:
    """The disk, with other rows."""
    return replace(FOUND, queue={**FOUND.queue, **rows})


def shown(**rows: Shown) -> Alone:
    """What the node shows, with other rows."""
    return replace(ALONE, queue={**ALONE.queue, **rows})


def said(
    found: Found = FOUND, alone: Alone = ALONE, peers: dict[str, Witness] = PEERS
) -> list[str]:
    return compare(found, alone, TOLD, peers)


def test_what_waited_on_disk_and_the_record_of_the_new_life_are_all_that_waits() -> None:
    assert said() == []


def test_a_peer_without_a_row_on_disk_lacks_all_that_is_there() -> None:
    found = replace(FOUND, queue={"c": FOUND.queue["c"]})

    assert said(found, shown(b=Shown(6, 9, LIFE))) == []
    assert said(found) == [
        "for B: 5 waited on disk, 1 were committed since, and 3 wait",
        "for B: 4 were acknowledged that it lacks, and 3 wait",
        "for B: acknowledged were 10..13, and 12..20 wait",
    ]


def test_a_queue_that_was_given_back_as_if_all_was_held_is_found_out() -> None:
    assert said(alone=shown(b=Shown(1, LIFE, LIFE))) == [
        "for B: 2 waited on disk, 1 were committed since, and 1 wait",
        "for B: 2 were acknowledged that it lacks, and 1 wait",
        "for B: acknowledged were 12..13, and 20..20 wait",
    ]


def test_a_row_that_was_written_as_if_all_was_held_is_found_out_by_the_peer() -> None:
    found = queued(b=Waiting(Dot(0, 13), Dot(0, 11), 0))

    assert said(found, shown(b=Shown(1, LIFE, LIFE))) == [
        "for B: down as holding 13, it held 12",
        "for B: down as having 11 on disk, it has 10 there",
    ]


def test_a_peer_that_is_not_in_the_queue_and_one_that_nobody_knows_are_told() -> None:
    alone = replace(ALONE, queue={"b": ALONE.queue["b"], "x": Shown(1, LIFE, LIFE)})

    assert said(alone=alone) == ["C is not in it", "x is in it and no peer"]


def test_a_start_commits_its_record_and_no_service() -> None:
    nothing = {"b": Shown(2, 12, 13), "c": Shown(0)}
    assert said(alone=replace(ALONE, queue=nothing)) == [
        "its record of the new life waits for nobody"
    ]
    assert said(alone=replace(ALONE, log={LIFE: ["node", "service"]})) == [
        "version 20 was committed by the start and changes a service"
    ]


def test_what_only_the_memory_of_a_peer_held_is_counted() -> None:
    assert forgotten(FOUND, PEERS) == 1
    assert said(peers={**PEERS, "b": Witness("B", NOTHING, NOTHING)}) == [
        "for B: down as holding 11, it held nothing",
        "for B: down as having 10 on disk, it has nothing there",
    ]
