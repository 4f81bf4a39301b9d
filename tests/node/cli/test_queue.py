"""`kith queue` and `kith update`, and `--confirm`: what has reached whom."""

import json

from .conftest import Type
from .fake_node import A_ID, B_ID, Answer, Document, FakeNode, error

PATH = ("GET", "/v1/queue")
UPDATE = ("GET", "/v1/updates/u-1")
REGISTERED = {"name": "web", "id": "web-8000", "owner": A_ID, "version": 7, "update_id": "u-1"}
QUEUE = f"""\
PEER   ID                                                     STATUS        WAITING   PRIORITY   SINCE      ATTEMPTS   NEXT TRY   BREAKER
─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
b      {B_ID}   unreachable   12+       critical   1h2m ago   7          in 41s     open
c      {A_ID}   alive         3         normal     2s ago     0          now        closed

2 of 4 peers lack something, the first for 1h2m; 15 commits wait, 2.5 KiB
"""  # noqa: E501 - a piped table is as wide as it needs
HELD = f"""\
update     u-1
of         web/web-8000
version    7
committed  2026-01-02T03:04:05.000Z
held by    1 of 2 peers

NAME   ID                                                     STATE      SINCE                      ATTEMPTS   NEXT TRY                   BREAKER   STATUS
───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
a      {A_ID}   on disk    2026-01-02T03:04:05.020Z   -          -                          -         -
b      {B_ID}   lacks it   2026-01-02T03:04:05.000Z   2          2026-01-02T03:04:09.000Z   closed    unreachable
"""  # noqa: E501 - as above


def delivery(name: str, ident: str, **more: object) -> Document:
    return {
        "peer": ident, "name": name, "status": "alive", "waiting": 3, "oldest": 5, "newest": 7,
        "priority": "normal", "since": "2026-01-02T03:04:03.000Z", "attempts": 0,
        "next_try": None, "breaker": "closed", "under_way": True, "behind": False,
        "score": 1.0, "latency_ms": None, **more,
    }  # fmt: skip


LATE = delivery(
    "b", B_ID, status="unreachable", waiting=12, priority="critical", attempts=7, breaker="open",
    since="2026-01-02T02:01:30.000Z", next_try="2026-01-02T03:04:46.000Z", under_way=False,
    behind=True,
)  # fmt: skip


def show(fake: FakeNode, *deliveries: Document, total: int | None = None) -> None:
    document = {
        "at": "2026-01-02T03:04:05.000Z",
        "outbox": {
            "commits": 15 if deliveries else 0, "bytes": 2_560, "commits_max": 10_000,
            "bytes_max": 67_108_864, "overflowed": 0,
        },
        "deliveries": list(deliveries),
        "total": len(deliveries) if total is None else total,
        "peers": 4,
        "counters": {"attempts": 9},
    }  # fmt: skip
    fake.answers[PATH] = Answer(200, document)


def show_update(fake: FakeNode, *lacking: Document, untracked: int = 0) -> None:
    holder = {"id": A_ID, "name": "a", "since": "2026-01-02T03:04:05.020Z", "stored": True}
    document = {
        "update_id": "u-1", "name": "web", "id": "web-8000", "owner": A_ID, "version": 7,
        "committed_at": "2026-01-02T03:04:05.000Z", "holders": [holder],
        "lacking": list(lacking), "untracked": untracked,
    }  # fmt: skip
    fake.answers[UPDATE] = Answer(200, document)


def test_a_queue_in_which_nothing_waits_is_good(kith: Type, fake: FakeNode) -> None:
    show(fake)

    typed = kith("queue", "--api", fake.url)

    assert (typed.code, typed.err) == (0, "")
    assert typed.out == "nothing waits: 4 of 4 peers hold all that was committed here\n"
    assert fake.asked[-1].query == ()


def test_a_queue_that_has_waited_for_long_is_degraded_and_read_as_a_table(
    kith: Type, fake: FakeNode
) -> None:
    show(fake, LATE, delivery("c", A_ID), total=3)

    typed = kith("queue", "--all", "--api", fake.url)

    assert (typed.code, typed.out) == (1, QUEUE)
    assert typed.err == (
        "kith: +: it lacks more than is kept, and is shown the whole state\n"
        "kith: 1 more peers are not listed\n"
    )
    assert fake.asked[-1].query == (("all", "true"),)


def test_what_has_just_been_committed_is_no_trouble(kith: Type, fake: FakeNode) -> None:
    show(fake, delivery("c", A_ID))

    assert kith("queue", "--api", fake.url).code == 0


def test_a_queue_as_json_is_the_api_document_with_the_same_exit_code(
    kith: Type, fake: FakeNode
) -> None:
    show(fake, LATE)

    typed = kith("queue", "--json", "--api", fake.url)

    assert typed.code == 1
    assert json.loads(typed.out) == fake.answers[PATH].document


def test_an_update_that_a_peer_lacks_is_degraded_and_says_who(kith: Type, fake: FakeNode) -> None:
    show_update(
        fake,
        {
            "id": B_ID, "name": "b", "since": "2026-01-02T03:04:05.000Z", "attempts": 2,
            "next_try": "2026-01-02T03:04:09.000Z", "breaker": "closed", "status": "unreachable",
        },
        untracked=3,
    )  # fmt: skip

    typed = kith("update", "u-1", "--api", fake.url)

    assert (typed.code, typed.out) == (1, HELD)
    assert typed.err.startswith("kith: 3 more members: ")


def test_an_update_that_all_hold_is_good_and_one_that_nobody_knows_is_unknown(
    kith: Type, fake: FakeNode
) -> None:
    show_update(fake)
    typed = kith("update", "u-1", "--json", "--api", fake.url)
    assert typed.code == 0
    assert json.loads(typed.out) == fake.answers[UPDATE].document

    del fake.answers[UPDATE]
    assert kith("update", "u-1", "--api", fake.url).code == 2


def test_a_registration_says_how_many_peers_have_it_on_disk(kith: Type, fake: FakeNode) -> None:
    path = ("POST", "/v1/services")
    words = ("register", "web", "--port", "8000", "--api", fake.url)
    fake.answers[path] = Answer(201, {**REGISTERED, "confirmed": 2, "peers": 2})

    typed = kith(*words, "--confirm", "2")

    assert typed.code == 0
    assert typed.err == "kith: 2 of 2 peers have it on disk\n"
    assert [*fake.asked[-1].query] == [("confirm", "2")]

    fake.answers[path] = Answer(202, {**REGISTERED, "confirmed": 1, "peers": 2})
    typed = kith(*words, "--confirm", "2", "--confirm-timeout", "250ms")
    assert typed.code == 1
    assert typed.out.startswith("registered, not confirmed in time: web/web-8000")
    assert typed.err == "kith: 1 of 2 peers have it on disk, not enough in time\n"
    assert [*fake.asked[-1].query] == [("confirm", "2"), ("confirm_timeout", "250ms")]


def test_a_deregistration_can_be_confirmed_too(kith: Type, fake: FakeNode) -> None:
    path = ("DELETE", "/v1/services/web/web-8000")
    fake.answers[path] = Answer(202, {**REGISTERED, "confirmed": 0, "peers": 2})

    typed = kith("deregister", "web", "web-8000", "--confirm", "1", "--api", fake.url)

    assert (typed.code, typed.out) == (1, "deregistered web/web-8000\n")
    assert "0 of 2 peers" in typed.err
    typed = kith("deregister", "web", "web-8000", "--confirm", "1", "--json", "--api", fake.url)
    assert (typed.code, json.loads(typed.out)["confirmed"]) == (1, 0)


def test_a_wrong_wish_is_wrong_usage(kith: Type, fake: FakeNode) -> None:
    words = ("register", "web", "--port", "8000", "--api", fake.url)

    assert kith(*words, "--confirm-timeout", "5s").code == 64
    assert kith(*words, "--confirm", "-1").code == 64
    assert fake.asked == []
    assert kith("update", "--api", fake.url).code == 64


def test_a_refusal_is_explained(kith: Type, fake: FakeNode) -> None:
    fake.answers[PATH] = Answer(401, error("unauthenticated", "no"))

    typed = kith("queue", "--api", fake.url)

    assert typed.code == 1
    assert "--token-file" in typed.err
