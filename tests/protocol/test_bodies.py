"""Every kind of record is read as it was written, and nothing else is."""

import string
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import bodies, limits
from protocol.bodies import (
    Body,
    Stamp,
    decode,
    encode,
    judged,
    key_of,
    pairs_alike,
    record_of,
    stamp_of,
    stamped_first,
    tags_alike,
)
from protocol.commits import Record, RecordKey
from protocol.errors import MalformedError, ProposalError, RefusedError, RemoteProtocolError
from protocol.identity import NodeId
from protocol.records import (
    CheckRecord,
    CheckType,
    DocumentRecord,
    Entry,
    ForgetRecord,
    GuestRecord,
    Health,
    Kind,
    NodeRecord,
    NodeType,
    Phase,
    ServiceRecord,
)
from protocol.wire import codec

NAMES = st.text(string.ascii_lowercase + string.digits + "._-", min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)
TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=30)
TIMES = st.integers(0, codec.INT_MAX)
PORTS = st.integers(1, 65_535)
HOSTS = st.ip_addresses(v=4, network="10.0.0.0/8").map(str) | st.just("h.example")
NAME_SETS = st.sets(NAMES, max_size=5).map(lambda names: tuple(sorted(names)))
METADATA = st.dictionaries(NAMES, TEXTS, max_size=4).map(lambda pairs: tuple(sorted(pairs.items())))
CAPABILITIES = st.sets(NAMES, min_size=1, max_size=5).map(lambda names: tuple(sorted(names)))
CHECKS = st.builds(
    CheckRecord, id=NAMES, type=st.just(CheckType.TCP), target=st.just("h:80"),
    interval_ms=st.integers(100, 10_000), timeout_ms=st.integers(50, 10_000),
    failures_before_critical=st.integers(1, 100), passes_before_passing=st.integers(1, 100),
    deregister_after_ms=st.integers(0, 10**6), status=st.sampled_from(Health), output=TEXTS,
    changed_at=TIMES,
)  # fmt: skip
SERVICES = st.builds(
    ServiceRecord, name=NAMES, id=NAMES, address=HOSTS, port=PORTS, tags=NAME_SETS,
    metadata=METADATA, version=TEXTS, weight=st.integers(0, 65_535), zone=NAMES | st.just(""),
    checks=st.lists(CHECKS, max_size=3, unique_by=lambda check: check.id).map(tuple),
    maintenance=st.none() | TEXTS, update_id=TEXTS, updated_at=TIMES,
)  # fmt: skip
NODES = st.builds(
    NodeRecord, name=NAMES, host=HOSTS, port=PORTS, api_host=HOSTS, api_port=PORTS,
    metrics_port=st.integers(0, 65_535), node_type=st.sampled_from(NodeType),
    is_load_balancer=st.booleans(), capabilities=CAPABILITIES, zone=NAMES, region=st.just(""),
    metadata=METADATA, software=TEXTS, incarnation=st.integers(1, 2**32 - 1),
    phase=st.sampled_from(Phase), updated_at=TIMES,
)  # fmt: skip
GUESTS = st.builds(
    GuestRecord, id=NAMES, address=st.just("10.0.0.1:80"), metrics_port=st.integers(0, 65_535),
    node_type=st.sampled_from(NodeType), is_load_balancer=st.booleans(), capabilities=CAPABILITIES,
    last_updated=TIMES, ttl_ms=st.integers(1_000, 10**6), critical=st.booleans(),
    public_key=st.sampled_from([b"", bytes(32)]), signed_body=st.binary(max_size=50),
    signature=st.binary(max_size=64), update_id=TEXTS,
)  # fmt: skip
FORGETS = st.builds(
    ForgetRecord, node=st.binary(min_size=32, max_size=32).map(NodeId), incarnation=TIMES,
    asked_at=TIMES,
)  # fmt: skip
WRITERS = st.binary(min_size=32, max_size=32).map(NodeId)


@st.composite
def documents(draw: st.DrawFn) -> DocumentRecord:
    """A writer's word on a document, of few writers and fields."""
    context = draw(st.dictionaries(WRITERS, st.integers(1, codec.INT_MAX), max_size=4))
    entries = []
    if context:
        place = st.tuples(st.sampled_from(["x", "long name", ""]), st.sampled_from(sorted(context)))
        for name, writer in sorted(draw(st.sets(place, max_size=5))):
            counter = draw(st.integers(1, context[writer]))
            value = draw(st.sampled_from([b"1", b'{"a":[1.5,null]}', b'"text"']))
            entries.append(Entry(name, writer, counter, draw(TIMES), value if name else writer))
    return DocumentRecord(
        key=draw(NAMES),
        context=tuple((writer, ((1, context[writer]),)) for writer in sorted(context)),
        entries=tuple(entries), update_id=draw(TEXTS), updated_at=draw(TIMES),
    )  # fmt: skip


BODIES = st.one_of(SERVICES, NODES, GUESTS, FORGETS, documents())

SERVICE = ServiceRecord(name="web", id="1", address="10.0.0.1", port=80)


@given(BODIES)
def test_what_was_written_is_read_as_it_was(body: Body) -> None:
    record = record_of(body)

    assert decode(record) == body
    assert encode(decode(record)) == record.body
    assert key_of(body) == (record.kind, record.key)


@given(BODIES, TIMES, TIMES)
def test_what_is_judged_is_taken_by_every_reader_as_the_very_same(
    body: Body, version: int, age: int
) -> None:
    key, stamp = key_of(body), Stamp(version, max(0, version - age))

    raw = judged(key, body)

    assert raw == encode(body)
    assert stamped_first(raw, stamp) == encode(body, stamp)
    assert decode(Record(key.kind, key.key, stamped_first(raw, stamp))) == body


T = TypeVar("T")


class Replace(Protocol[T]):
    """`dataclasses.replace` with fields of which mypy need not know which they are."""

    def __call__(self, one: T, /, **fields: object) -> T: ...


odd = cast(Replace[ServiceRecord], replace)
odd_check = cast(Replace[CheckRecord], replace)
ODD_TEXTS = ("", ".", "U", "a\nb", "h:80", "http://h/", "x" * 129, "x" * 600, "x" * 3_000)
ODD_NUMBERS = (-1, 0, 1, 101, 65_536, 2**32, 2**62 - 1, 2**62, 2**63)
CHECK = CheckRecord(
    id="c", type=CheckType.TCP, target="h:80", interval_ms=1_000, timeout_ms=100,
    failures_before_critical=1, passes_before_passing=1, deregister_after_ms=0,
    status=Health.PASSING, output="", changed_at=0,
)  # fmt: skip


def oddities() -> Iterator[ServiceRecord]:
    """Services of which one field is of the right type, and may be far from right."""
    for name in ("name", "id", "address", "version", "zone", "maintenance", "update_id"):
        yield from (odd(SERVICE, **{name: text}) for text in ODD_TEXTS)
    for name in ("port", "weight", "updated_at"):
        yield from (odd(SERVICE, **{name: number}) for number in ODD_NUMBERS)
    for tags in (("b", "a"), ("a", "a"), ("U",), tuple(f"t{n:02}" for n in range(65))):
        yield odd(SERVICE, tags=tags)
    pairs = tuple((f"t{n:02}", "") for n in range(65))
    for metadata in ((("b", ""), ("a", "")), *((("k", text),) for text in ODD_TEXTS), pairs):
        yield odd(SERVICE, metadata=metadata)
    for check in odd_checks():
        yield odd(SERVICE, checks=(check,))
    yield odd(SERVICE, checks=(CHECK, CHECK))
    yield odd(SERVICE, checks=tuple(odd_check(CHECK, id=f"c{n}") for n in range(40)))


def odd_checks() -> Iterator[CheckRecord]:
    for kind in CheckType:
        for text in ODD_TEXTS:
            yield odd_check(CHECK, type=kind, target=text)
            yield odd_check(CHECK, type=kind, output=text)
            yield odd_check(CHECK, type=kind, id=text)
    for field in (
        "interval_ms", "timeout_ms", "failures_before_critical", "passes_before_passing",
        "deregister_after_ms", "changed_at",
    ):  # fmt: skip
        yield from (odd_check(CHECK, **{field: number}) for number in ODD_NUMBERS)


def test_what_is_judged_well_is_what_readers_take_and_nothing_else() -> None:
    verdicts = []
    for body in oddities():
        try:
            taken: Body | None = decode(record_of(body))
        except RemoteProtocolError:
            taken = None
        try:
            ours: Body | None = decode(Record(*key_of(body), judged(key_of(body), body)))
        except ProposalError:
            ours = None
        assert ours == taken, body
        verdicts.append(ours is not None)

    assert verdicts.count(True) > 50 < verdicts.count(False)


@given(BODIES)
def test_a_body_under_a_key_that_is_not_its_own_is_judged_wrong(body: Body) -> None:
    with pytest.raises(ProposalError, match="not its own"):
        judged(RecordKey(key_of(body).kind, "other/key"), body)


@given(BODIES, st.data())
def test_a_body_with_a_bit_flipped_is_another_or_refused(body: Body, data: st.DataObject) -> None:
    record = record_of(body)
    raw = bytearray(record.body)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = Record(record.kind, record.key, bytes(raw))

    try:
        read = decode(damaged)
    except RemoteProtocolError:
        return
    assert encode(read, stamp_of(damaged)) == damaged.body, "one spelling of each value"


@pytest.mark.parametrize("kind", [5, 6, 99, -1])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    with pytest.raises(RefusedError) as refused:
        decode(Record(kind, "k", encode(SERVICE)))
    assert refused.value.code == "limit"


def test_an_entry_whose_writer_is_not_in_the_context_is_refused() -> None:
    for place, code in ((0, None), (1, MalformedError), (64, MalformedError)):
        fields = [1, "k", [[b"w" * 32, [1, 1]]], [["x", place, 1, 0, b"1"]], "", 0, 7, 2]
        record = Record(Kind.DOCUMENT, "k", codec.pack(fields))
        if code is None:
            body = decode(record)
            assert isinstance(body, DocumentRecord)
            assert body.entries[0].writer == b"w" * 32
        else:
            with pytest.raises(code):
                decode(record)


@pytest.mark.parametrize("key", ["web/2", "web", "other/1", "", "web/1/"])
def test_a_record_under_a_wrong_key_is_refused(key: str) -> None:
    with pytest.raises(RefusedError, match="key that is not its own"):
        decode(Record(Kind.SERVICE, key, encode(SERVICE)))


def test_missing_and_trailing_fields_and_other_formats_are_refused() -> None:
    key = key_of(SERVICE)
    whole = [1, "web", "1", "10.0.0.1", 80, [], [], "", 100, "", [], False, "", "", 0, 7, 2]
    assert codec.pack(whole) == encode(SERVICE, Stamp(7, 5))
    for fields in ([*whole, 0], whole[:-1], [2, *whole[1:]], [], [1]):
        with pytest.raises(MalformedError):
            decode(Record(key.kind, key.key, codec.pack(fields)))


def test_a_metadata_key_without_a_value_is_refused() -> None:
    fields = [1, "web", "1", "10.0.0.1", 80, [], ["k"], "", 100, "", [], False, "", "", 0, 7, 2]
    with pytest.raises(MalformedError):
        decode(Record(Kind.SERVICE, "web/1", codec.pack(fields)))


def test_a_reason_without_maintenance_is_not_a_second_spelling() -> None:
    fields = [1, "web", "1", "10.0.0.1", 80, [], [], "", 100, "", [], False, "why", "", 0, 7, 2]
    with pytest.raises(MalformedError):
        decode(Record(Kind.SERVICE, "web/1", codec.pack(fields)))


@pytest.mark.parametrize(
    "body",
    [replace(SERVICE, port=0), replace(SERVICE, name="Web"), replace(SERVICE, tags=("b", "a"))],
)
def test_what_breaks_a_rule_is_refused_as_a_limit(body: ServiceRecord) -> None:
    with pytest.raises(RefusedError) as refused:
        decode(record_of(body))
    assert refused.value.code == "limit"


def test_the_largest_record_is_below_the_limit_for_keys() -> None:
    largest = replace(SERVICE, name="n" * 128, id="i" * 128)
    assert len(key_of(largest).key) == 2 * limits.NAME_MAX + 1
    assert decode(record_of(largest)) == largest
    assert bodies.service_key("a", "b") == "a/b"


def test_what_is_alike_is_held_once_unless_it_is_long() -> None:
    def tags(size: int) -> tuple[str, ...]:
        return ("a" * size, "b")

    def pairs(size: int) -> tuple[tuple[str, str], ...]:
        return (("key", "v" * size),)

    assert tags_alike(tags(9)) is tags_alike(tags(9))
    assert pairs_alike(pairs(9)) is pairs_alike(pairs(9))
    long_tags, long_pairs = tags(2_000), pairs(2_000)
    assert tags_alike(tags(2_000)) is not tags_alike(long_tags) is long_tags
    assert pairs_alike(pairs(2_000)) is not pairs_alike(long_pairs) is long_pairs
