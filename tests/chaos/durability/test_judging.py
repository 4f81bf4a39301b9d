"""What was promised, and a sentence for each promise that was broken."""

from chaos.durability.doctor import Found
from chaos.durability.judging import Judge
from chaos.durability.ledger import Ledger, Operation, allowed


def told(instance: str, port: int | None, update_id: str, version: int) -> Operation:
    return Operation(instance, port, update_id, acknowledged=True, version=version)


def opened(instance: str, port: int | None, update_id: str) -> Operation:
    return Operation(instance, port, update_id)


def judged(found: Found, *operations: Operation, version: int = 0) -> list[str]:
    ledger = Ledger()
    for operation in operations:
        ledger.add(operation)
    return Judge([ledger]).judge(found, version)


WEB = told("web", 1, "u-1", 10)


def test_the_last_acknowledged_and_what_was_asked_since_are_both_right() -> None:
    operations = [WEB, told("web", 2, "u-2", 11), opened("web", None, "u-3")]

    assert allowed(operations) == [2, None]
    results = {"u-1": 10, "u-2": 11}
    assert judged(Found("good", version=11, instances={"web": "u-2"}, results=results),
                  *operations) == []  # fmt: skip
    assert judged(Found("good", version=12, results=results), *operations) == []


def test_each_broken_promise_has_its_sentence() -> None:
    known = {"u-1": 10}
    assert judged(Found("damaged", ("a page is wrong",)), WEB) == ["damaged: a page is wrong"]
    assert judged(Found("absent"), WEB) == [
        "web: acknowledged with port 1, and is missing", "u-1: its result is forgotten",
    ]  # fmt: skip
    old = Found("good", version=11, instances={"web": "u-1"}, results={**known, "u-2": 11})
    assert judged(old, WEB, told("web", 2, "u-2", 11)) == ["web: has port 1, acknowledged was 2"]
    back = Found("good", version=11, instances={"web": "u-1"}, results=known)
    (said,) = judged(back, WEB, told("web", None, "u-2", 11))
    assert "not there by what was acknowledged" in said
    strange = Found("good", version=10, instances={"web": "u-1", "x": "u-9"}, results=known)
    assert judged(strange, WEB) == ["x: nobody asked for it"]


def test_an_update_has_one_version_and_no_version_is_used_twice() -> None:
    found = Found("good", version=10, instances={"web": "u-1"}, results={"u-1": 9})
    assert judged(found, WEB, version=11) == [
        "u-1: was told 10, and on disk is 9",
        "knows version 10, and 11 had left the node",
    ]


def test_what_was_not_acknowledged_may_be_there_or_not() -> None:
    asked = opened("web", 1, "u-1")
    assert judged(Found("absent"), asked) == []
    there = Found("recovered", version=5, instances={"web": "u-1"}, results={"u-1": 5})
    assert judged(there, asked) == []
