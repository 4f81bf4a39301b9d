"""The layouts in PROTOCOL.md are what the code reads, field by field; the sizes are what it writes.

Every sample is written by the code and read back through a reader that notes each field it takes.
"""

import pytest

from protocol import bodies, limits, rules
from protocol.agreement.changelog import Became, Difference
from protocol.agreement.docket import Reported
from protocol.agreement.evidence import Evidence, fork_of, key_fork_of, unpack_any
from protocol.agreement.split import SplitAnswer, SplitRequest
from protocol.commits import (
    Change,
    Commit,
    Dot,
    Draft,
    Manifest,
    Record,
    RecordKey,
    make_commit,
    unpack_commit,
    unpack_head,
)
from protocol.detector.detection import (
    GOSSIP_BYTES_MAX,
    VOTES_PER_BATCH_MAX,
    Ack,
    Ask,
    Gossip,
    Heartbeat,
    Ping,
    SignedAck,
    SignedVotes,
    Vote,
)
from protocol.detector.probing import NONCE_BITS
from protocol.dissemination import _ADVERT_ITEMS
from protocol.identity import (
    INCEPTION,
    KEY_EVENTS_MAX,
    ROTATION,
    KeyEvent,
    NodeId,
    commitment,
    make_event,
    unpack_event,
    verify_chain,
)
from protocol.records import (
    CheckRecord,
    CheckType,
    DocumentRecord,
    Entry,
    ForgetRecord,
    GuestRecord,
    Health,
    NodeRecord,
    NodeType,
    ServiceRecord,
)
from protocol.signing import KeyPair, Trust, cluster_id
from protocol.wire import codec, exchange, messages
from protocol.wire.handshake import Credentials, Handshake, Role, refusal
from protocol.wire.trees import Children, NodesShown, NodesWanted, TreeAnswer, TreeRequest

from . import pages

CLUSTER = cluster_id("demo")
KEY, NEXT = KeyPair(bytes(32)), KeyPair(bytes([1] * 32))
NOW_US = 1_800_000_000_000_000
DOT = Dot(0, NOW_US)
INT_MAX = codec.INT_MAX
CHECK = CheckRecord(
    id="http", type=CheckType.HTTP, target="http://192.0.2.17:8000/health", interval_ms=5_000,
    timeout_ms=2_000, failures_before_critical=3, passes_before_passing=1, deregister_after_ms=0,
    status=Health.PASSING, output="200 OK", changed_at=NOW_US,
)  # fmt: skip
SERVICE = ServiceRecord(
    name="web", id="web-8000", address="192.0.2.17", port=8_000, tags=("v1",), checks=(CHECK,),
    update_id="0b0e9a0e-9d2c-4c8e-8a3e-2f6f2f2d8c11", updated_at=NOW_US,
)  # fmt: skip
NODE = NodeRecord(name="a", host="192.0.2.1", port=8_401, api_host="192.0.2.1", api_port=8_400)
GUEST = GuestRecord(
    id="g", address="192.0.2.9:80", metrics_port=0, node_type=NodeType.BACKEND,
    is_load_balancer=False, capabilities=("api",), last_updated=NOW_US, ttl_ms=30_000,
)  # fmt: skip


def inception(key: KeyPair = KEY, following: KeyPair = NEXT) -> KeyEvent:
    promised = commitment(following.public_key)
    return make_event(INCEPTION, previous=None, key=key, next_commitment=promised, cluster=CLUSTER)


def rotation(following: KeyPair = KEY) -> KeyEvent:
    promised = commitment(following.public_key)
    return make_event(
        ROTATION, previous=inception(), key=NEXT, next_commitment=promised, cluster=CLUSTER
    )


ME = NodeId(inception().hash)


def commit(
    *parents: bytes, changes: tuple[Change, ...] = (), dot: Dot = DOT, at: int = NOW_US
) -> Commit:
    draft = Draft(owner=ME, dot=dot, parents=parents, issued_at=at, state_root=bytes(32))
    return make_commit(draft, changes, key=KEY, cluster=CLUSTER)


def registration() -> Commit:
    record = bodies.record_of(SERVICE)
    return commit(bytes(32), changes=(Change(record.kind, record.key, record.body),))


def handshake(role: Role, key: KeyPair, following: KeyPair) -> Handshake:
    chain = verify_chain([inception(key, following).pack()], Trust(CLUSTER))
    return Handshake(role, Credentials(chain, key, CLUSTER), nonce=role.value * 32)


def fork(dot: Dot = DOT, at: int = NOW_US) -> Evidence:
    parents = bytes([1] * 32), bytes([2] * 32)
    change = (Change(1, "web/a", b"x"),)
    first = commit(*parents, dot=dot, at=at)
    second = commit(*parents, changes=change, dot=dot, at=at)
    evidence = fork_of(first.head, second.head)
    assert evidence is not None
    return evidence


ACK = SignedAck(ME, KEY_EVENTS_MAX, 2**32 - 1, INT_MAX, bytes(64))
VOTES = SignedVotes(
    ME, KEY_EVENTS_MAX, (Vote(ME, 2**32 - 1, INT_MAX),) * VOTES_PER_BATCH_MAX, INT_MAX, bytes(64)
)
ADVERTISED = messages.Advertised(ME, Dot(KEY_EVENTS_MAX, INT_MAX), bytes(32), large=True)
LARGEST: dict[str, messages.Message] = {
    "HEARTBEAT": messages.Beat(Heartbeat(2**32 - 1, INT_MAX), bytes(32)),
    "PING": Ping(2**NONCE_BITS - 1, accused=True),
    "ACK": Ack(2**NONCE_BITS - 1, 2**32 - 1, INT_MAX, ACK),
    "ASK": Ask(ME),
    "WANT": messages.Want(((ME, bytes(32)),)),
    "EVIDENCE": fork(Dot(INT_MAX, INT_MAX), INT_MAX),
    "KEYS": messages.Keys(ME, rotation()),
    "RECEIPT": messages.Receipt(Dot(KEY_EVENTS_MAX, INT_MAX), bytes(32), KEY_EVENTS_MAX, bytes(64)),
}


class Noting(codec.Reader):
    """A reader that notes every field that is taken from it, and the bound it is held to."""

    bounds: dict[tuple[str, str], int] = {}  # noqa: RUF012 (shared on purpose)
    notes: list[tuple["Noting", str]] = []  # noqa: RUF012 (shared on purpose, emptied by `fields`)

    def _note(self, field: str, bound: int) -> None:
        Noting.notes.append((self, field))
        Noting.bounds[self._what, field] = bound

    def integer(self, field: str, *, low: int = 0, high: int = INT_MAX) -> int:
        self._note(field, high)
        return super().integer(field, low=low, high=high)

    def raw(self, field: str, *, most: int, least: int = 0) -> bytes:
        self._note(field, most)
        return super().raw(field, most=most, least=least)

    def text(self, field: str, *, most: int) -> str:
        self._note(field, most)
        return super().text(field, most=most)

    def flag(self, field: str) -> bool:
        self._note(field, 1)
        return super().flag(field)

    def array(self, field: str, *, most: int) -> codec.Reader:
        self._note(field, most)
        return super().array(field, most=most)


def noting_check(layout: codec.Layout, values: object, what: str) -> None:
    """Check all fields at once, and note them as if each had been taken."""
    ORIGINAL_CHECK(layout, values, what)
    reader = Noting([], what)
    for field in layout._fields:
        reader._note(field.name, field.high)


ORIGINAL_CHECK = codec.Layout.check


def read_everything() -> None:
    """Read one sample of everything that travels."""
    event, step = inception().pack(), registration()
    other = rotation(KeyPair(bytes([2] * 32)))
    key_fork = key_fork_of(ME, rotation(), other)
    assert key_fork is not None
    unpack_any(key_fork.pack())
    unpack_event(event)
    unpack_commit(step.pack()).changes()
    unpack_head(step.head.pack())
    forget = ForgetRecord(node=ME, incarnation=1, asked_at=NOW_US)
    entry = Entry("color", ME, 1, NOW_US, b'"red"')
    document = DocumentRecord(key="d", context=((ME, ((1, 1),)),), entries=(entry,))
    for body in (NODE, SERVICE, GUEST, document, forget):
        bodies.decode(bodies.record_of(body))
    told: list[messages.Message] = [
        *LARGEST.values(),
        Gossip((ACK,), (VOTES,)),
        messages.Push((step,), (event,)),
        messages.Advert((ADVERTISED,)),
    ]
    for message in told:
        messages.decode(*messages.encode(message))
    client, server = handshake(Role.CLIENT, KEY, NEXT), handshake(Role.SERVER, NEXT, KEY)
    proof = server.receive_hello(client.hello)
    client.receive_hello(server.hello)
    client.receive_proof(proof)


def notes_of_frames(kind: str) -> None:
    bundle = exchange.Bundle(
        (inception().pack(),), Manifest(commit().head, (Record(1, "a", b"x"),))
    )
    vector = (exchange.Held(ME, DOT, bytes(32)),)
    frames: dict[str, tuple[exchange.StreamRequest, exchange.StreamAnswer]] = {
        "SYNC": (
            exchange.SyncRequest(vector, bundle),
            exchange.SyncAnswer(
                (bundle,), more=False, gossip=Gossip(), evidence=(Reported(fork(), None),)
            ),
        ),
        "FETCH": (
            exchange.FetchRequest(ME, DOT, b"", b"", 0),
            exchange.FetchAnswer(bundle),
        ),
        "CHECK": (exchange.CheckRequest(), exchange.CheckAnswer()),
        "TREE": (
            TreeRequest((NodesWanted(ME, bytes(32), ("0a",)),)),
            TreeAnswer(
                (
                    NodesShown(
                        bytes(32),
                        (Children(b"\0\1" + bytes(32)), commit().head, Record(1, "a", b"x")),
                    ),
                )
            ),
        ),
        "SPLIT": (
            SplitRequest(1, 2, ((ME, DOT),)),
            SplitAnswer(
                known=True,
                complete=True,
                away=((ME, DOT),),
                here=((ME, DOT),),
                changed=(Difference(ME, RecordKey(1, "web/a"), Became.ADDED, 1),),
                left=0,
            ),
        ),
        "DELIVER": (exchange.DeliverRequest(bundle), exchange.DeliverAnswer(DOT, bytes(32))),
    }
    request, answer = frames[kind]
    exchange.decode_request(exchange.encode_request(request))
    exchange.decode_answer(exchange.encode_answer(answer))


def layouts(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Where each field is read, in order: the path of its array to the fields."""
    monkeypatch.setattr(codec, "Reader", Noting)
    monkeypatch.setattr(codec.Layout, "check", noting_check)
    found: dict[str, list[str]] = {}
    Noting.notes.clear()
    read_everything()
    found.update(fields())
    for kind in ("SYNC", "FETCH", "CHECK", "TREE", "SPLIT", "DELIVER"):
        notes_of_frames(kind)
        for path, names in fields().items():
            found[f"{path} {kind}" if path in ("request", "answer") else path] = names
    with pytest.raises(Exception, match="refuses us"):
        handshake(Role.CLIENT, KEY, NEXT).receive_hello(refusal("limit"))
    found["refusal"] = fields()["hello"]
    return found


def fields() -> dict[str, list[str]]:
    readers: dict[int, tuple[str, list[str]]] = {}
    for reader, field in Noting.notes:
        readers.setdefault(id(reader), (reader._what, []))[1].append(field)
    kept = dict(readers.values())
    Noting.notes.clear()
    return kept


PATHS = {
    "check": "service.checks.check",
    "seen": "document.context.seen",
    "entry": "document.entries.entry",
    "change": "changes.change",
    "signed ack": "gossip.acks.ack",
    "signed votes": "gossip.votes.votes",
    "vote": "gossip.votes.votes.votes.vote",
    "advertised": "advert.item",
    "wanted": "want.item",
    "held": "request.vector.held",
    "reported": "answer.evidence.reported",
    "dot": "request.held.dot",
    "difference": "answer.changed.change",
    "bundle": "answer.found.bundle",
    "tree wanted": "request.trees.tree",
    "tree shown": "answer.trees.tree",
}
"""Where the code reads what the page calls by a shorter name."""

_CHECK = "service.checks.check"
RULES = {
    (_CHECK, "interval_ms"): (rules.INTERVAL_MS_MIN, rules.INTERVAL_MS_MAX),
    (_CHECK, "timeout_ms"): (rules.TIMEOUT_MS_MIN, rules.INTERVAL_MS_MAX),
    (_CHECK, "failures_before_critical"): (1, rules.THRESHOLD_MAX),
    (_CHECK, "passes_before_passing"): (1, rules.THRESHOLD_MAX),
    (_CHECK, "deregister_after_ms"): (0, rules.DEREGISTER_MS_MAX),
    ("guest", "ttl_ms"): (rules.GUEST_TTL_MS_MIN, rules.GUEST_TTL_MS_MAX),
}
"""Fields that `rules` bounds more narrowly than the reader does."""
UNBOUNDED = ("integer", "boolean", "bytes", "1 to 2^62 − 1", "1 to 2^32 − 1", "0 to 2 × bytes(32)")


def documented() -> dict[str, list[str]]:
    """Every layout of the page: its name and its fields."""
    found: dict[str, list[str]] = {}
    for table in pages.tables(pages.PROTOCOL):
        first, *rest = table.titles
        if first.endswith("` field"):
            found[first.removesuffix("` field").strip("`")] = [
                row[0].strip("`") for row in table.rows
            ]
        elif rest and rest[0] == "fields, in order":
            found.update({row[0].strip("`"): pages.spans(row[1]) for row in table.rows})
        elif rest and rest[0] == "name" and "bytes in all" in rest:
            found.update({row[1].strip("`").lower(): pages.spans(row[2]) for row in table.rows})
    return found


def test_every_layout_is_what_the_code_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    actual = layouts(monkeypatch)
    listed = documented()
    assert listed.pop("heartbeat") == [], "its body is binary"

    for name, names in listed.items():
        assert actual[PATHS.get(name, name)] == names, name


def test_no_layout_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = documented()
    names_of = {PATHS.get(name, name): names for name, names in listed.items()}

    for path, names in layouts(monkeypatch).items():
        is_list = len(set(names)) == 1
        in_words = path.endswith(".content")  # by the kind of the bundle
        assert path in names_of or is_list or in_words or names in listed.values(), path


def bounds_documented() -> dict[tuple[str, str], str]:
    """What the tables with a row for each field say of the field's type."""
    found: dict[tuple[str, str], str] = {}
    for table in pages.tables(pages.PROTOCOL):
        if table.titles[0].endswith("` field"):
            name = table.titles[0].removesuffix("` field").strip("`")
            found.update({(PATHS.get(name, name), row[0].strip("`")): row[1] for row in table.rows})
    return found


def numbers(cell: str) -> list[int]:
    kept = "".join(c if c.isdigit() else " " for c in cell.replace(",", ""))
    return [int(word) for word in kept.split()]


def test_every_field_is_held_to_the_bound_that_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    layouts(monkeypatch)
    words = {"name": limits.NAME_MAX, "name or nothing": limits.NAME_MAX, "host": limits.HOST_MAX}

    for place, cell in bounds_documented().items():
        bound = Noting.bounds.get(place)
        if cell in words:
            assert bound == words[cell], place
        elif place in RULES:
            assert tuple(numbers(cell)) == RULES[place], place
        elif cell.endswith("pairs"):
            assert bound == 2 * numbers(cell)[-1], place
        elif numbers(cell) and "^" not in cell and "×" not in cell:
            assert bound == numbers(cell)[-1], place
        else:
            assert cell in UNBOUNDED, (place, cell)


def test_every_datagram_is_as_large_as_is_said() -> None:
    titles = ("kind", "name", "fields, in order", "what it says", "bytes in all")
    stated = {row[1].strip("`"): row[4] for row in pages.table(pages.PROTOCOL, *titles).rows}

    for name, message in LARGEST.items():
        assert pages.number(stated[name]) == len(sealed(message)), name
    assert pages.number(stated["GOSSIP"]) == GOSSIP_BYTES_MAX + messages.OVERHEAD
    assert len(sealed(Gossip((), (VOTES,)))) <= pages.number(stated["GOSSIP"])
    assert pages.number(stated["PUSH"]) == limits.DATAGRAM_MAX
    one, two = (len(sealed(messages.Advert((ADVERTISED,) * count))) for count in (1, 2))
    each = two - one
    assert stated["ADVERT"] == f"{one - each} + ≤ {each} each, {_ADVERT_ITEMS} at most"


def test_every_example_is_as_large_as_is_said() -> None:
    push = messages.Push((registration(),), ())
    client, server = handshake(Role.CLIENT, KEY, NEXT), handshake(Role.SERVER, NEXT, KEY)
    actual = {
        "an inception event, packed": len(inception().pack()),
        "a rotation event, packed": len(rotation().pack()),
        "the header of a first commit": len(commit().head.encoded),
        "a header with one parent": len(commit(bytes(32)).head.encoded),
        "the header of a merge": len(commit(bytes(32), b"\1" * 32).head.encoded),
        "a push of one registration: one tag, one HTTP check": len(sealed(push)),
        "a HELLO of a node that never rotated": len(client.hello),
        "a PROOF": len(server.receive_hello(client.hello)),
    }
    rows = pages.table(pages.PROTOCOL, "example", "bytes").rows
    assert {name: pages.number(value) for name, value in rows} == actual


def test_the_envelope_and_an_entry_of_the_vector_are_as_large_as_is_said() -> None:
    page = " ".join(pages.PROTOCOL.read_text(encoding="utf-8").split())
    held = exchange.Held(ME, DOT, bytes(32))
    none, one = (
        len(exchange.encode_request(exchange.SyncRequest((held,) * count, None)))
        for count in (0, 1)
    )
    assert f"{one - none} bytes an owner" in page
    sizes = [pages.number(row[0]) for row in pages.table(pages.PROTOCOL, "bytes", "what").rows]
    assert sizes == [1, 1, messages.PREFIX_BYTES, messages.BODY_MAX, 16]


def sealed(message: messages.Message) -> bytes:
    return messages.seal(ME, bytes(32), *messages.encode(message))
