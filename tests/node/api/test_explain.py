"""Why an instance is in or out: a dozen causes and more, staged, and the answer for each."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from node.api.explain import CODES
from protocol.agreement.evidence import fork_of
from protocol.bodies import record_of
from protocol.clocks import Instant
from protocol.commits import Change, Dot, Draft, digest, make_commit, path_of
from protocol.detector.detection import Status
from protocol.detector.votes import Ballot, Finding
from protocol.identity import REVOCATION, Address, KeyChain, NodeId, id_text, make_event
from protocol.intake import Source
from protocol.merkle import Leaf, Tree
from protocol.records import CheckRecord, CheckType, Health, NodeRecord, ServiceRecord
from protocol.wire.exchange import Bundle, Steps
from tests.node.transport.people import CLUSTER, credentials

from .situations import TestNode, open_node, web

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "API.md"
SOMEBODY = Source(None, Address("127.0.0.1", 1))
AT = Instant(0.0, 1_700_000_000_000_000)

Reasons = dict[str, dict[str, object]]


def instance(**fields: object) -> ServiceRecord:
    bare = ServiceRecord(name="web", id="web-1", address="127.0.0.1", port=1, updated_at=1)
    return replace(bare, **fields)  # type: ignore[arg-type]  # as `replace` itself is typed


def check(status: Health, output: str = "") -> CheckRecord:
    return CheckRecord(
        id="c1", type=CheckType.HTTP, target="http://127.0.0.1:1/", interval_ms=5_000,
        timeout_ms=1_000, failures_before_critical=3, passes_before_passing=1,
        deregister_after_ms=0, status=status, output=output, changed_at=1,
    )  # fmt: skip


def other(node: TestNode, number: int, *services: ServiceRecord) -> NodeId:
    """Have the node hold another owner, a member named `other-N`, with these instances."""
    theirs = credentials(number)
    record = NodeRecord(
        name=f"other-{number}", host="127.0.0.9", port=1, api_host="127.0.0.9", api_port=1
    )
    records = [record_of(record), *map(record_of, services)]
    changes = [Change(one.kind, one.key, one.body) for one in records]
    changes.sort(key=lambda change: (change.kind, change.key))
    tree = Tree.of(
        Leaf(path_of(one.kind, one.key), digest(one.body)) for one in changes if one.body
    )
    draft = Draft(
        owner=theirs.chain.node, dot=Dot(0, 1), parents=(), issued_at=1, state_root=tree.root
    )
    commit = make_commit(draft, changes, key=theirs.signer, cluster=CLUSTER)
    peer = node.context.peer
    peer._intake.bundle(Bundle(tuple(theirs.chain.packed()), Steps((commit,))), SOMEBODY, peer._now)
    assert peer.membership.status(theirs.chain.node) is Status.ALIVE
    return theirs.chain.node


def move(node: TestNode, owner: NodeId, status: Status, *, certified: bool = False) -> None:
    """Have the node believe this of a member, with votes of two others against it, or three."""
    membership = node.context.peer.membership
    member = membership._roster.get(owner)
    assert member is not None
    if status not in (Status.STOPPING, Status.LEFT):
        findings = {
            voter: Finding(pair=(1, 1), at=0.0, held=False, carrier=None)
            for voter in membership.observers(owner)[: 3 if certified else 2]
        }
        membership._judge.ballots._ballots[owner] = Ballot(0.0, findings)
    membership._roster.move(member, status, certified=certified, now=membership._now)


async def explained(node: TestNode, query: str = "", name: str = "web") -> dict[str, object]:
    """The only instance's explanation, held to what a lookup answers."""
    document = await node.expect(200, "GET", f"/v1/explain/services/{name}{query}")
    (one,) = cast("list[dict[str, object]]", document["instances"])
    listed = await node.instances(name, query)
    reasons = cast("list[dict[str, object]]", one["reasons"])
    assert one["in"] is bool(listed)
    assert one["in"] is not any(reason["effect"] == "out" for reason in reasons)
    worst = [
        e for e in ("maintenance", "critical", "warning") if any(r["effect"] == e for r in reasons)
    ]
    assert one["health"] == (worst[0] if worst else "passing")
    return one


def reasons_of(one: dict[str, object]) -> Reasons:
    return {str(r["code"]): r for r in cast("list[dict[str, object]]", one["reasons"])}


@pytest.mark.trio
async def test_an_instance_without_a_fault_is_in_for_reasons_that_were_checked() -> None:
    async with open_node() as node:
        await node.expect(201, "POST", "/v1/services", web())

        reasons = reasons_of(await explained(node))

        assert list(reasons) == ["signed", "record_valid", "no_checks", "node_alive"]
        signed = reasons["signed"]
        branch = node.context.peer.registry.branch(node.context.me)
        assert branch is not None
        assert branch.head is not None
        assert (signed["signed_by"], signed["epoch"]) == (node.id, 0)
        assert (signed["version"], signed["commit"]) == (branch.dot.version, branch.head.hash.hex())
        assert str(signed["because"]).startswith("node-1 (")


@pytest.mark.trio
@pytest.mark.parametrize(
    ("service", "code", "effect", "words"),
    [
        (instance(checks=(check(Health.PASSING, "200 OK"),)), "check_passing", "none", "200 OK"),
        (instance(checks=(check(Health.WARNING),)), "check_warning", "warning", "is warning"),
        (instance(checks=(check(Health.CRITICAL, "refused"),)), "check_critical", "critical",
         "refused"),
        (instance(maintenance="new disk"), "maintenance", "maintenance", "new disk"),
    ],
)  # fmt: skip
async def test_what_the_instance_itself_says(
    service: ServiceRecord, code: str, effect: str, words: str
) -> None:
    async with open_node(is_started=False) as node:
        other(node, 7, service)

        one = await explained(node)

        reason = reasons_of(one)[code]
        assert (one["in"], reason["effect"]) == (True, effect)
        assert words in str(reason["because"])


@pytest.mark.trio
@pytest.mark.parametrize(
    ("status", "certified", "is_in", "effect", "words"),
    [
        (Status.SUSPECT, False, True, "none", "2 of its 4 observers could not reach it, 3 certify"),
        (Status.UNREACHABLE, True, True, "critical", "certified: 3 of its 4"),
        (Status.UNREACHABLE, False, True, "critical", "from here, not certified"),
        (Status.DEAD, True, True, "critical", "is dead"),
        (Status.STOPPING, False, False, "out", "means to return"),
        (Status.LEFT, False, False, "out", "left for good"),
    ],
)
async def test_what_becomes_of_its_node(
    status: Status, certified: bool, is_in: bool, effect: str, words: str
) -> None:
    async with open_node(is_started=False) as node:
        owner = other(node, 7, instance())
        for number in (8, 9, 10):
            other(node, number)
        move(node, owner, status, certified=certified)

        one = await explained(node)

        reason = reasons_of(one)[f"node_{status.value}"]
        assert (one["in"], reason["effect"], one["node"]) == (is_in, effect, "other-7")
        assert words in str(reason["because"])
        assert reason["certified"] is certified
        if status in (Status.SUSPECT, Status.UNREACHABLE):
            voted = cast("list[dict[str, str]]", reason["voted"])
            entitled = cast("list[dict[str, str]]", reason["entitled"])
            assert (len(voted), len(entitled), reason["needed"]) == (2 + certified, 4, 3)
            assert all(voter in entitled for voter in voted)


@pytest.mark.trio
async def test_a_node_that_nobody_knows_as_a_member() -> None:
    async with open_node(is_started=False) as node:
        owner = other(node, 7, instance())
        roster = node.context.peer.membership._roster
        member = roster.get(owner)
        assert member is not None
        roster.remove(member)

        reason = reasons_of(await explained(node))["node_unknown"]

        assert reason["effect"] == "critical"


@pytest.mark.trio
async def test_a_dispute_names_its_evidence() -> None:
    async with open_node(is_started=False) as node:
        theirs, owner = credentials(7), other(node, 7, instance())
        branch = node.context.peer.registry.branch(owner)
        assert branch is not None
        assert branch.head is not None
        draft = Draft(
            owner=owner, dot=Dot(0, 1), parents=(), issued_at=2, state_root=branch.head.state_root
        )
        evidence = fork_of(
            branch.head, make_commit(draft, (), key=theirs.signer, cluster=CLUSTER).head
        )
        assert evidence is not None
        node.context.peer._intake.evidence(evidence, SOMEBODY, AT)
        (case,) = node.context.peer.docket.cases()

        one = await explained(node)

        reason = reasons_of(one)["disputed"]
        assert (one["in"], reason["effect"]) == (True, "critical")
        assert reason["evidence"] == [case.id.hex()]


@pytest.mark.trio
async def test_keys_that_were_replaced_or_revoked_are_told() -> None:
    async with open_node(is_started=False) as node:
        theirs, owner = credentials(7), other(node, 7, instance())
        branch = node.context.peer.registry.claim(owner)
        rotation = make_event(
            1, previous=theirs.chain.events[0], key=theirs.signer, next_commitment=bytes(32),
            cluster=CLUSTER,
        )  # fmt: skip
        branch.chain = KeyChain(owner, (*theirs.chain.events, rotation))
        assert reasons_of(await explained(node))["key_replaced"]["effect"] == "none"

        revocation = replace(rotation, kind=REVOCATION)
        branch.chain = KeyChain(owner, (*theirs.chain.events, revocation))
        reasons = reasons_of(await explained(node))
        assert "revoked" in reasons
        assert "key_replaced" not in reasons


@pytest.mark.trio
async def test_what_does_not_come_out_as_signed_is_told() -> None:
    async with open_node(is_started=False) as node:
        owner = other(node, 7, instance())
        branch = node.context.peer.registry.branch(owner)
        assert branch is not None
        assert branch.head is not None
        head = branch.head
        branch.head = replace(head, signature=bytes(64))
        assert "not_proved" in reasons_of(await explained(node))

        branch.head = replace(head, state_root=bytes(32))
        assert "not_proved" in reasons_of(await explained(node))

        branch.head = head
        assert "signed" in reasons_of(await explained(node))


@pytest.mark.trio
async def test_a_record_that_breaks_a_rule_is_told() -> None:
    async with open_node(is_started=False) as node:
        owner = other(node, 7, instance())
        found = node.context.peer.registry.instance(owner, "web", "web-1")
        assert found is not None
        object.__setattr__(found.service, "weight", -1)

        assert "weight" in str(reasons_of(await explained(node))["record_invalid"]["because"])


FILTERED = instance(tags=("v2",), metadata=(("team", "core"),), version="1.4", zone="z1")


@pytest.mark.trio
@pytest.mark.parametrize(
    ("query", "code", "wanted", "has"),
    [
        ("?tag=v3&tag=v2", "filter_tag", "v3, v2", "v2"),
        ("?meta.team=web&meta.rack=7", "filter_meta", "team=web, rack=7", "team=core"),
        ("?version=2", "filter_version", "2", "1.4"),
        ("?zone=z2", "filter_zone", "z2", "z1"),
        ("?health=critical", "filter_health", "critical", "passing"),
    ],
)
async def test_the_filter_that_left_it_out_is_named(
    query: str, code: str, wanted: str, has: str
) -> None:
    async with open_node(is_started=False) as node:
        other(node, 7, FILTERED)

        one = await explained(node, query)

        reason = reasons_of(one)[code]
        assert (one["in"], reason["effect"]) == (False, "out")
        assert (reason["wanted"], reason["has"]) == (wanted, has)
        assert (await explained(node, "?tag=v2&meta.team=core&version=1.4&zone=z1"))["in"] is True


@pytest.mark.trio
async def test_what_comes_after_the_limit_is_told_its_place() -> None:
    async with open_node(is_started=False) as node:
        for number in (7, 8, 9):
            other(node, number, instance(id=f"web-{number}"))

        document = await node.expect(200, "GET", "/v1/explain/services/web?limit=2")

        shown = cast("list[dict[str, object]]", document["instances"])
        assert [(one["id"], one["in"]) for one in shown] == [
            ("web-7", True), ("web-8", True), ("web-9", False)
        ]  # fmt: skip
        assert reasons_of(shown[2])["filter_limit"]["has"] == "3"
        assert document["total"] == 3


@pytest.mark.trio
async def test_a_service_that_nobody_has_is_explained_by_notes() -> None:
    async with open_node(is_started=False) as node:
        owner = other(node, 7, instance())
        node.context.peer.registry.reap(owner)

        document = await node.expect(200, "GET", "/v1/explain/services/web")

        notes = cast("list[dict[str, object]]", document["notes"])
        assert document["instances"] == []
        assert [note["code"] for note in notes] == ["no_instance", "owners_reaped"]
        assert notes[1]["owners"] == [id_text(owner)]


@pytest.mark.trio
async def test_a_node_without_a_majority_says_so() -> None:
    async with open_node(is_started=False) as node:
        owners = [other(node, number, instance()) for number in (7, 8)]
        for owner in owners:
            move(node, owner, Status.UNREACHABLE)

        document = await node.expect(200, "GET", "/v1/explain/services/web")

        assert [note["code"] for note in cast("list[dict[str, object]]", document["notes"])] == [
            "side"
        ]


@pytest.mark.trio
async def test_it_understands_a_lookups_filters_and_nothing_else() -> None:
    async with open_node(is_started=False) as node:
        for query in ("health=well", "near=far", "limit=0", "wait=1s"):
            await node.refused(400, "invalid_field", "GET", f"/v1/explain/services/web?{query}")


def test_the_documentation_has_every_code() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    for code, what in CODES.items():
        assert f"| `{code}` | {what} |" in text, code
    staged = Path(__file__).read_text(encoding="utf-8")
    implied = {f"node_{status.value}" for status in Status}
    assert not [code for code in CODES if f'"{code}"' not in staged and code not in implied]
